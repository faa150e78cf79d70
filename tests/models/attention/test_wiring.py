"""Rules in real models of every family: nothing but the rule changes, and nothing stays behind."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionMaskInterface

from walras.errors import InputError, UnknownNameError
from walras.models import ARCHITECTURES, architecture, compact, inventory
from walras.models.architectures import layer_paths
from walras.models.attention import (
    AttentionRule,
    Entmax,
    NullKey,
    RandomKeys,
    Softmax,
    Sparsemax,
    TopKeys,
    attention_market,
    wiring,
)

INF = torch.inf
Make = Callable[..., Any]
Seen = list[tuple[int, Tensor, Tensor]]


def spy(seen: Seen) -> Callable[[int, Tensor, Tensor], None]:
    def watch(layer: int, scores: Tensor, weights: Tensor) -> None:
        seen.append((layer, scores.detach(), weights.detach()))

    return watch


def real(tiny: Any) -> Tensor:
    """Bool [batch, length]: which tokens are no padding."""
    mask: Tensor = tiny.batch.get("attention_mask", torch.ones(4, tiny.length))
    return mask.bool()


def true_logits(tiny: Any) -> Tensor:
    """Logits of sequences, or of a decoder's real tokens."""
    logits: Tensor = tiny.logits()
    return logits[real(tiny)] if tiny.decoder else logits


def modules(model: nn.Module) -> list[nn.Module]:
    return [model.get_submodule(f"{path}.{architecture(model).attention}") for path in layer_paths(model)]


@pytest.mark.spread
def test_softmax_changes_nothing(every_family: str, attention: str, tiny: Make) -> None:
    model = tiny(every_family, attention)
    before = true_logits(model)
    with attention_market(model.model, Softmax()):
        inside = true_logits(model)
    torch.testing.assert_close(inside, before, rtol=1e-5, atol=1e-5)
    with attention_market(model.model, [None] * 3):
        torch.testing.assert_close(true_logits(model), before, rtol=1e-5, atol=1e-5)
    assert torch.equal(true_logits(model), before)


def test_softmax_changes_nothing_in_double_precision(family: str, tiny: Make) -> None:
    # Some families' own eager softmax is in float32 whatever the model.
    attention = "sdpa" if ARCHITECTURES[family].functional else "eager"
    model = tiny(family, attention, torch.float64)
    before = true_logits(model)
    with attention_market(model.model, Softmax()):
        torch.testing.assert_close(true_logits(model), before, rtol=1e-12, atol=1e-12)


def test_watch_sees_what_the_model_computes(family: str, tiny: Make) -> None:
    model, seen = tiny(family), Seen()

    def attentions() -> Any:
        output = model.model(**model.batch, output_attentions=True)
        return output.encoder_attentions if hasattr(output, "encoder_attentions") else output.attentions

    own = attentions()
    with attention_market(model.model, Softmax(), spy(seen)):
        inside = attentions()
    assert [layer for layer, _, _ in seen] == [0, 1, 2]
    queries = real(model).unsqueeze(1).unsqueeze(-1)  # padding of the model's own looks at what it likes
    for (_, scores, weights), expected, returned in zip(seen, own, inside, strict=True):
        assert scores.shape == weights.shape == expected.shape == (4, expected.shape[1], model.length, model.length)
        torch.testing.assert_close(weights * queries, expected * queries, rtol=1e-5, atol=1e-5)
        assert torch.equal(returned, weights)
        torch.testing.assert_close(scores.masked_fill(~queries, 0.0).softmax(-1) * queries, weights * queries)


@pytest.mark.parametrize("rule", [Softmax(), Entmax(), TopKeys(3), NullKey(0.0), RandomKeys(3, seed=0)])
def test_masks_are_respected(family: str, rule: AttentionRule, tiny: Make) -> None:
    model, seen = tiny(family, "sdpa" if ARCHITECTURES[family].functional else "eager"), Seen()
    with attention_market(model.model, rule, spy(seen)):
        model.logits()
    window = getattr(model.model.config, "sliding_window", None) if family == "mistral" else None
    for _, scores, weights in seen:
        closed = ~real(model)[:, None, None, :].expand_as(weights).clone()
        if model.decoder:
            closed |= torch.ones(model.length, model.length).triu(1).bool()
        if window:
            closed |= torch.ones(model.length, model.length).tril(-window).bool()
        assert bool((weights[closed] == 0).all())
        assert bool((scores[closed] == -INF).all())
        if family not in ("modernbert", "gemma3_text"):  # some of its layers have windows, others have none
            assert bool(scores[~closed].isfinite().all())
    if "attention_mask" in model.batch:
        assert bool(closed.any())


def test_windows_of_alternate_layers_are_respected(tiny: Make) -> None:
    model, seen = tiny("modernbert"), Seen()
    with attention_market(model.model, Softmax(), spy(seen)):
        model.logits()
    reach = [(scores[0, 0] > -INF).sum(-1).tolist() for _, scores, _ in seen]
    distance = (torch.arange(9).unsqueeze(0) - torch.arange(9).unsqueeze(1)).abs()
    near = (distance <= model.model.config.local_attention // 2).sum(-1).tolist()
    assert sorted(map(tuple, {tuple(row) for row in reach})) == sorted({tuple(near), (9,) * 9})


def test_padding_may_hold_anything(family: str, tiny: Make) -> None:
    model = tiny(family)
    if "input_ids" not in model.batch:
        pytest.skip("images have no padding")
    embedding = model.model.get_input_embeddings()  # of token 1, which is padding and nothing else
    with attention_market(model.model, Sparsemax(2.0)):
        before = true_logits(model)
        with torch.no_grad():
            embedding.weight[1] += 3.0
        after = true_logits(model)
    same = slice(2, None) if model.decoder else slice(None)  # some decoders' heads are tied to their embeddings
    torch.testing.assert_close(after[..., same], before[..., same], rtol=1e-4, atol=1e-5)


def test_without_its_mask_function_padding_would_be_looked_at(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers drops every mask in silence for an attention function that has none: the tests above would fail."""
    model, seen = tiny("llama"), Seen()
    monkeypatch.delitem(AttentionMaskInterface._global_mapping, "walras_attention_market")
    with attention_market(model.model, Softmax(), spy(seen)):
        model.logits()
    assert bool((seen[0][2] > 0).all())


def test_rules_hold_in_every_family(family: str, tiny: Make) -> None:
    model, seen = tiny(family), Seen()
    before = true_logits(model)
    with attention_market(model.model, TopKeys(2), spy(seen)):
        assert (true_logits(model) - before).abs().max() > 1e-3
    for _, scores, weights in seen:
        assert torch.equal((weights > 0).sum(-1), (scores > -INF).sum(-1).clamp(max=2))
    with attention_market(model.model, TopKeys(1000)):
        torch.testing.assert_close(true_logits(model), before, rtol=1e-5, atol=1e-5)


def test_one_layer_may_be_constrained_and_the_others_watched(family: str, tiny: Make) -> None:
    model, free, held = tiny(family), Seen(), Seen()
    with attention_market(model.model, Softmax(), spy(free)):
        model.logits()
    with attention_market(model.model, [None, TopKeys(1), None], spy(held)):
        model.logits()
    assert torch.equal(held[0][2], free[0][2])
    assert torch.equal(held[1][1], free[1][1])
    assert bool(((held[1][2] == 1).sum(-1) == 1)[real(model).unsqueeze(1).expand(held[1][2].shape[:-1])].all())
    assert not torch.equal(held[2][1], free[2][1])
    rows = (held[2][1] > -INF).any(-1)
    torch.testing.assert_close(held[2][2].sum(-1)[rows], torch.ones(int(rows.sum())))


def test_gradients_reach_weights_and_settings(family: str, tiny: Make) -> None:
    model = tiny(family)
    price = torch.tensor(0.5, requires_grad=True)
    with attention_market(model.model, [Entmax(), NullKey(price), Sparsemax()]):
        torch.autograd.backward(true_logits(model).square().sum())
    assert price.grad is not None
    assert price.grad.abs() > 1e-6
    row, layers = architecture(model.model), layer_paths(model.model)
    for path in (projection.path for projection in row.heads.inputs):
        for layer in layers:
            grad = model.model.get_submodule(f"{layer}.{path}").weight.grad
            assert bool(grad.isfinite().all())
            assert grad.abs().sum() > 0


def test_dropout_is_the_models_own(family: str, tiny: Make) -> None:
    model = tiny(family)
    for part in model.model.modules():  # one share for all, so that none can be mixed up with the attention's
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    for module in modules(model.model):
        for name in ("attention_dropout", "attn_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.4)
            elif isinstance(getattr(module, name, None), nn.Dropout):
                getattr(module, name).p = 0.4
    still = true_logits(model)
    model.model.train()
    torch.manual_seed(5)
    own = true_logits(model)
    torch.manual_seed(5)
    with attention_market(model.model, Softmax()):
        torch.testing.assert_close(true_logits(model), own, rtol=1e-5, atol=1e-5)
    assert (own - still).abs().max() > 1e-3


# ---- what stays behind


def test_contexts_nest_and_leave_nothing_behind(family: str, attention: str, tiny: Make) -> None:
    model = tiny(family, attention)
    before = true_logits(model)
    state = [dict(vars(module)) for module in modules(model.model)]
    with attention_market(model.model, TopKeys(2)):
        outer = true_logits(model)
        with attention_market(model.model, TopKeys(1)):
            assert not torch.allclose(true_logits(model), outer, atol=1e-4)
        assert torch.equal(true_logits(model), outer)
        with pytest.raises(RuntimeError, match="halfway"), attention_market(model.model, Softmax()):
            raise RuntimeError("halfway")
        assert torch.equal(true_logits(model), outer)
    assert torch.equal(true_logits(model), before)
    assert model.model.config._attn_implementation == attention
    assert [dict(vars(module)) for module in modules(model.model)] == state
    assert not any(module in wiring._MARKETS for module in modules(model.model))


def test_an_error_in_the_watch_leaves_nothing_behind(family: str, tiny: Make) -> None:
    model = tiny(family)
    before = true_logits(model)

    def watch(layer: int, scores: Tensor, weights: Tensor) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"), attention_market(model.model, TopKeys(1), watch):
        model.logits()
    assert torch.equal(true_logits(model), before)
    assert model.model.config._attn_implementation == "eager"


def test_two_models_have_rules_of_their_own(tiny: Make) -> None:
    one, other = tiny("bert"), tiny("gpt2")
    alone = []
    for model, rule in ((one, TopKeys(1)), (other, Sparsemax())):
        with attention_market(model.model, rule):
            alone.append(true_logits(model))
    with attention_market(one.model, TopKeys(1)), attention_market(other.model, Sparsemax()):
        assert torch.equal(true_logits(one), alone[0])
        assert torch.equal(true_logits(other), alone[1])


# ---- other ways in


def test_answers_are_generated_as_before(decoder: str, tiny: Make) -> None:
    model = tiny(decoder)
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 1}
    ids = model.batch["input_ids"][:1]
    before = model.model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    seen = Seen()
    with attention_market(model.model, Softmax(), spy(seen)):
        inside = model.model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    assert torch.equal(inside, before)
    assert seen[-1][1].shape[-2] == 1  # one query, with a cache
    assert len(seen) == 3 * 6


@pytest.mark.parametrize("kind", ["bool", "float", "bias"])
def test_masks_of_the_users_own(kind: str, tiny: Make) -> None:
    model, seen = tiny("bert"), Seen()
    open_keys = torch.ones(4, 1, 9, 9).tril().bool()
    lowest = {"float": torch.finfo(torch.float32).min, "bias": -2.0}
    mask = open_keys if kind == "bool" else torch.where(open_keys, 0.0, lowest[kind])
    before = model.logits(attention_mask=torch.where(open_keys, 0.0, lowest["float"]) if kind == "bool" else mask)
    with attention_market(model.model, Softmax(), spy(seen)):
        inside = model.logits(attention_mask=mask)
    torch.testing.assert_close(inside, before, rtol=1e-5, atol=1e-5)
    closed = (~open_keys).expand_as(seen[0][1])
    assert bool((seen[0][1][closed] == -INF).all()) == (kind != "bias")


def test_half_precision(family: str, tiny: Make) -> None:
    model, seen = tiny(family, dtype=torch.bfloat16), Seen()
    before = true_logits(model)
    with attention_market(model.model, Softmax(), spy(seen)):
        inside = true_logits(model)
    assert inside.dtype == torch.bfloat16
    assert seen[0][1].dtype == seen[0][2].dtype == torch.float32
    torch.testing.assert_close(inside, before, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["bert", "gpt2", "mpnet", "llama"])
def test_sliced_models_and_models_inside_modules(name: str, tiny: Make) -> None:
    model, seen = tiny(name), Seen()
    units = inventory(model.model)
    keep = torch.ones(len(units), dtype=torch.bool)
    keep[units.sites[0].units.start] = False  # a head of the first layer, or a group of them
    keep[units.sites[4].units] = False  # all heads of the last
    whole = nn.ModuleDict({"inside": compact(model.model, units, keep)})
    before = model.logits(whole["inside"])
    with attention_market(whole, Softmax(), spy(seen)):
        torch.testing.assert_close(model.logits(whole["inside"]), before, rtol=1e-5, atol=1e-5)
    assert [layer for layer, _, _ in seen] == [0, 1]  # none in the layer without heads
    assert seen[0][1].shape[1] < seen[1][1].shape[1]


def test_a_row_that_is_wrong_about_the_interface(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES._entries, "mpnet", replace(ARCHITECTURES["mpnet"], functional=True))
    with pytest.raises(InputError, match="has no attention interface; its row must say functional=False"):
        attention_market(tiny("mpnet").model, Softmax()).__enter__()


def test_bad_rules(tiny: Make) -> None:
    model = tiny("bert").model
    with pytest.raises(InputError, match="2 rules for 3 layers; valid: one for all, or one a layer"):
        attention_market(model, [None, Softmax()]).__enter__()
    with pytest.raises(InputError, match="'softmax' is no AttentionRule"):
        attention_market(model, [None, "softmax", None]).__enter__()  # type: ignore[list-item]  # what is tested
    with pytest.raises(InputError, match="must hold one Hugging Face transformer"):
        attention_market(nn.Linear(2, 2), Softmax()).__enter__()
    model.config.model_type = "bertt"
    with pytest.raises(UnknownNameError, match="Did you mean 'bert'"):
        attention_market(model, Softmax()).__enter__()
