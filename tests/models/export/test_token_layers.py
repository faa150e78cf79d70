"""A layer in two calls computes what its class does, and steps aside where somebody wants one of the steps."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.generation.continuous_batching.cache import PagedAttentionCache

from walras.models.export import token_kernels, token_layers
from walras.models.tokens.runtime import sparse
from walras.models.tokens.token_map import token_maps

FAMILIES = ("llama", "mistral", "qwen2")


def market(model: Any, price: float = 0.021) -> Any:
    """A network whose tokens buy about half, without biases in its FFNs."""
    model = copy.deepcopy(model)
    for layer in model.model.layers:
        for part in layer.mlp.children():
            part.bias = None
    maps = token_maps(model)
    worths = {m.path: torch.rand(m.bidders, generator=torch.Generator().manual_seed(1)) for m in maps}
    return sparse(model, maps, worths, {m.path: price / m.cost for m in maps}, "market")


@torch.no_grad()
def decoded(model: Any, ids: torch.Tensor, **how: Any) -> torch.Tensor:
    """Logits token by token through a cache."""
    cache, rows = None, []
    for t in range(ids.shape[1]):
        out = model(input_ids=ids[:, t : t + 1], past_key_values=cache, use_cache=True, **how)
        cache = out.past_key_values
        rows.append(out.logits.float())
    return torch.cat(rows, 1)


def slow(model: Any, monkeypatch: pytest.MonkeyPatch, ids: torch.Tensor) -> torch.Tensor:
    """The same by the class of the layers."""
    with monkeypatch.context() as patch:
        patch.setattr(token_layers.MarketLayer, "_arrays", lambda layer: None)
        return decoded(model, ids)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a layer was computed in two calls."""
    found: list[int] = []
    rest = token_layers._rest

    def noted(*args: Any) -> Any:
        found.append(1)
        return rest(*args)

    monkeypatch.setattr(token_layers, "_rest", noted)
    return found


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.nightly)])
def test_it_is_the_class_of_the_layer(
    kind: str, threads: int, dtype: torch.dtype, tiny: Any, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 at a price of 0: the class rounds after every step, so that others would buy."""
    tested = tiny(kind)
    model = market(tested.model, 0.021 if dtype == torch.float32 else 0.0).to(dtype)
    ids, before = tested.batch["input_ids"][:1], torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = decoded(model, ids)
        assert len(calls) == ids.shape[1] * len(model.model.layers)
        expected = slow(model, monkeypatch, ids)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 if dtype == torch.float32 else 0.1)


@pytest.mark.parametrize("how", ["eager", "static", "left padding", "no cache"])
def test_masks_and_caches(how: str, tiny: Any, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten tokens, in layers that look back at six."""
    tested = tiny("mistral")
    model = market(tested.model)
    model.config._attn_implementation = "eager" if how == "eager" else "sdpa"
    ids = tested.batch["input_ids"][:1, :5]
    seen = torch.ones_like(ids)
    seen[0, :2] = how != "left padding"
    given: dict[str, Any] = {"attention_mask": seen, "max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    given |= {"cache_implementation": "static"} if how == "static" else {"use_cache": how != "no cache"}
    given |= {"return_dict_in_generate": True, "output_logits": True}
    found = model.generate(ids, **given)
    assert bool(calls) == (how != "no cache")
    monkeypatch.setattr(token_layers.MarketLayer, "_arrays", lambda layer: None)
    expected = model.generate(ids, **given)
    assert torch.equal(found.sequences, expected.sequences)
    torch.testing.assert_close(torch.stack(found.logits), torch.stack(expected.logits), rtol=0, atol=2e-5)


def test_a_paged_cache_is_filled_by_the_class(tiny: Any, calls: list[int]) -> None:
    """Continuous batching hands its cache to the attention function alone, beside the caches that a layer knows."""
    told: list[int] = []

    def update(cache: Any, key_states: Any, value_states: Any, layer_idx: int, **_: Any) -> Any:
        told.append(layer_idx)
        return key_states, value_states

    paged: Any = type("Paged", (PagedAttentionCache,), {"__init__": lambda cache: None, "update": update})
    model = market(tiny("llama").model)
    model.config._attn_implementation = "sdpa"
    with torch.no_grad():
        model(tiny("llama").batch["input_ids"][:1, :1], cache=paged(), use_cache=False)
    assert told == [*range(len(model.model.layers))]
    assert not calls


def _moved(parameter: torch.nn.Parameter) -> None:
    parameter.data = parameter.data * 1.5


CHANGES: dict[str, Callable[[Any], object]] = {
    "a norm in place": lambda layer: layer.input_layernorm.weight.mul_(1.5),
    "the other norm": lambda layer: _moved(layer.post_attention_layernorm.weight),
    "another norm": lambda layer: setattr(layer, "input_layernorm", _with_larger_weight(layer.input_layernorm)),
    "a bias": lambda layer: layer.self_attn.q_proj.bias.add_(0.5),
    "a weight in place": lambda layer: layer.mlp.down_proj.weight.mul_(1.5),
    "a weight elsewhere": lambda layer: _moved(layer.self_attn.v_proj.weight),
    "a price": lambda layer: layer.mlp.up_proj.price.mul_(1.5),
    "a worth elsewhere": lambda layer: setattr(layer.self_attn.o_proj, "worth", layer.self_attn.o_proj.worth * 1.5),
    "another map": lambda layer: setattr(layer.self_attn, "k_proj", _with_larger_weight(layer.self_attn.k_proj)),
    "the activation": lambda layer: setattr(layer.mlp, "activation", torch.nn.ReLU()),
}


def _with_larger_weight(map_: Any) -> Any:
    other = copy.deepcopy(map_)
    other.weight.data.mul_(1.5)
    return other


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_a_layer_are_seen(change: str, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tested = tiny("qwen2")
    model = market(tested.model)
    ids = tested.batch["input_ids"][:1]
    before = decoded(model, ids)
    CHANGES[change](model.model.layers[0])
    found = decoded(model, ids)
    torch.testing.assert_close(found, slow(model, monkeypatch, ids), rtol=0, atol=2e-5)
    assert (found - before).abs().max() > 1e-4


def test_who_waits_for_a_step_gets_it(tiny: Any, calls: list[int]) -> None:
    tested = tiny("llama")
    model = market(tested.model)
    ids = tested.batch["input_ids"][:1, :1]
    with torch.no_grad():
        expected = model(ids).logits
        whole = len(calls)
        assert whole == len(model.model.layers)
        handle = model.model.layers[0].mlp.register_forward_hook(lambda *_: None)
        model(ids)
        assert len(calls) == 2 * whole - 1
        handle.remove()
        model.train()
        model(ids)
        assert len(calls) == 2 * whole - 1
        model.eval()
        model.config._attn_implementation = "eager"
        out = model(ids, output_attentions=True, output_hidden_states=True)
        assert all(row.shape[-1] == 1 for row in out.attentions)
        assert len(out.hidden_states) == len(model.model.layers) + 1
        torch.testing.assert_close(out.logits, expected, rtol=0, atol=2e-5)


def test_transformers_own_hooks_count_while_it_asks(tiny: Any, calls: list[int]) -> None:
    model = market(tiny("llama").model)
    ids = tiny("llama").batch["input_ids"][:1, :1]
    with torch.no_grad():
        model(ids, output_attentions=True)
        assert not calls
        model(ids)
    assert len(calls) == len(model.model.layers)


@pytest.mark.parametrize("part", ["gate_proj", "up_proj", "down_proj", "activation"])
def test_hooks_inside_a_gated_ffn_are_called(part: str, tiny: Any) -> None:
    model, seen = market(tiny("llama").model), list[Any]()
    handle = getattr(model.model.layers[0].mlp, part).register_forward_hook(lambda *given: seen.append(given))
    with torch.no_grad():
        model(tiny("llama").batch["input_ids"][:1, :1])
    assert len(seen) == 1
    handle.remove()


def test_slopes_are_those_of_the_class(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although nothing that goes into the layers wants a slope."""
    ids = tiny("llama").batch["input_ids"][:1, :1]
    found: list[dict[str, torch.Tensor]] = []
    for kernels in (True, False):
        model = market(tiny("llama").model)
        model.get_input_embeddings().weight.requires_grad_(False)
        for part in model.modules():
            if hasattr(part, "worth"):
                part.weight.requires_grad_(True)
        if not kernels:
            monkeypatch.setattr(token_kernels, "numba", None)
        model(ids).logits.sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert set(found[0]) == set(found[1])
    assert sum("proj" in name for name in found[0]) >= 7
    for name, slope in found[1].items():
        torch.testing.assert_close(found[0][name], slope, rtol=0, atol=1e-5)


@pytest.mark.parametrize("how", ["state dict", "in place"])
def test_prices_that_change_count_at_once(how: str, tiny: Any) -> None:
    model = market(tiny("llama").model)
    ids = tiny("llama").batch["input_ids"][:1, :1]
    with torch.no_grad():
        before = model(ids).logits
        if how == "state dict":
            model.load_state_dict({k: v * 4 if k.endswith("price") else v for k, v in model.state_dict().items()})
        else:
            for part in model.modules():
                if hasattr(part, "worth"):
                    part.get_buffer("price").mul_(4)
        after = model(ids).logits
        assert not torch.allclose(before, after, atol=1e-3)
        assert torch.equal(after, model(ids).logits)
        for part in model.modules():
            if hasattr(part, "worth"):
                part.forget()
        assert torch.equal(after, model(ids).logits)


@pytest.mark.nightly
def test_compiled_it_computes_the_same(tiny: Any) -> None:
    model = market(tiny("llama").model)
    ids = tiny("llama").batch["input_ids"][:1, :1]
    with torch.no_grad():
        expected = model(ids, use_cache=False).logits
        found: Any = torch.compile(copy.deepcopy(model), fullgraph=True, backend="eager")
        torch.testing.assert_close(found(ids, use_cache=False).logits, expected, rtol=0, atol=2e-5)


def test_copies_decode_alike(tiny: Any) -> None:
    tested = tiny("llama")
    model = market(tested.model)
    ids = tested.batch["input_ids"][:1]
    expected = decoded(model, ids)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(again.model.layers[0]).__name__ == "MarketLlamaDecoderLayer"
        assert torch.equal(decoded(again, ids), expected)


def test_without_numba_the_class_stays(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_layers, "numba", None)
    monkeypatch.setattr(token_kernels, "numba", None)
    assert type(market(tiny("llama").model).model.layers[0]).__name__ == "LlamaDecoderLayer"
