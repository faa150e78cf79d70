"""The maps that travel with a sparsified model multiply what is bought and no more, with a kernel and without."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

from walras.models.export import modeling_sparsified, token_kernels
from walras.models.export.modeling_sparsified import MarketFFN, attach, market_of
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.runtime import described_maps, sparse
from walras.models.tokens.token_map import token_maps
from walras.models.tokens.trading import token_markets

DTYPES = [torch.float32, torch.bfloat16]
KERNELS = pytest.mark.parametrize("kernel", [True, False])


@pytest.fixture
def kernel_or_not(kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel:
        monkeypatch.setattr(token_kernels, "numba", None)


def near(dtype: torch.dtype) -> dict[str, Any]:
    return {"rtol": 0, "atol": 1e-5 if dtype == torch.float32 else 0.05}


@KERNELS
@pytest.mark.usefixtures("kernel_or_not")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stock", ["linear", "conv", "no bias"])
@pytest.mark.parametrize("price", [0.0, 0.005, 0.02, 1e9])
def test_features(dtype: torch.dtype, stock: str, price: float) -> None:
    torch.manual_seed(0)
    conv: Any = Conv1D
    module: Any = conv(13, 22) if stock == "conv" else nn.Linear(22, 13, bias=stock == "linear")
    module = module.to(dtype)
    market: Any = market_of(module, "features", "dense")
    assert type(market).__name__ == "FeatureBuyer"
    market.worth.copy_(torch.rand(22) / 13)
    market.price.fill_(price)
    x = torch.randn(1, 1, 22).to(dtype)
    keep = x.float().square() * market.worth >= price
    assert (0 < keep.sum() < 22) == (0 < price < 1e6)
    weight = module.weight if stock == "conv" else module.weight.T
    expected = torch.where(keep, x, 0).float() @ weight.float()
    expected = expected if module.bias is None else expected + module.bias.float()
    with torch.no_grad():
        found = market(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected.detach(), **near(dtype))


@KERNELS
@pytest.mark.usefixtures("kernel_or_not")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_neurons(dtype: torch.dtype, bias: bool) -> None:
    torch.manual_seed(0)
    module = nn.Linear(9, 17, bias=bias).to(dtype)
    market: Any = market_of(module, "neurons", "dense")
    assert type(market).__name__ == "NeuronBuyer"
    market.worth.copy_(torch.rand(17))
    market.price.fill_(0.2)
    x, gates = torch.randn(1, 1, 9).to(dtype), torch.randn(1, 1, 17).to(dtype)
    keep = gates.float().square() * market.worth >= 0.2
    assert 0 < keep.sum() < 17
    with torch.no_grad():
        expected = torch.where(keep, module(x), 0.0)
        torch.testing.assert_close(market(x, gates), expected, **near(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_several_threads_give_the_same(threads: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    features: Any = market_of(nn.Linear(22, 13).to(dtype), "features", "dense")
    neurons: Any = market_of(nn.Linear(22, 5).to(dtype), "neurons", "dense")  # fewer rows than threads
    x, gates = torch.randn(1, 1, 22).to(dtype), torch.randn(1, 1, 5).to(dtype)
    for market in (features, neurons):
        market.price.fill_(0.2)
    before = torch.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            with torch.no_grad():
                found.append((features(x), neurons(x, gates)))
    finally:
        torch.set_num_threads(before)
    for one, many in zip(*found, strict=True):
        torch.testing.assert_close(many, one, **near(dtype))


@pytest.mark.filterwarnings("ignore:several sequences buy at once")
@pytest.mark.parametrize("prefill", ["dense", "market"])
def test_sequences(prefill: str) -> None:
    torch.manual_seed(0)
    module = nn.Linear(22, 13)
    market: Any = market_of(module, "features", prefill)
    market.price.fill_(0.4)
    x = torch.randn(2, 5, 22)
    one_by_one = torch.stack([market(x[:, t : t + 1]) for t in range(5)], 1).squeeze(2)
    assert not torch.allclose(one_by_one, module(x), atol=0.1)
    torch.testing.assert_close(market(x), module(x) if prefill == "dense" else one_by_one)


@KERNELS
@pytest.mark.usefixtures("kernel_or_not")
def test_what_is_no_number_is_seen() -> None:
    market: Any = market_of(nn.Linear(22, 13), "features", "dense")
    market.price.fill_(1e9)
    x = torch.zeros(1, 1, 22)
    x[..., 3] = torch.nan
    with torch.no_grad():
        assert market(x).isnan().all()


def test_weights_that_change_place_are_read_where_they_are() -> None:
    market: Any = market_of(nn.Linear(6, 4), "features", "dense")
    x = torch.randn(1, 1, 6)
    with torch.no_grad():
        first = market(x)
        market.weight.copy_(2 * market.weight)
        torch.testing.assert_close(market(x) - market.bias, 2 * (first - market.bias))
        market.weight = nn.Parameter(torch.zeros_like(market.weight), requires_grad=False)
        torch.testing.assert_close(market(x), market.bias.expand(1, 1, 4))
        assert market.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3_text", "opt", "gpt_neox", "qwen3"])
def test_decoding_is_what_the_study_computes(kind: str, tiny: Any) -> None:
    """Token by token through a cache: the network whose prefill trades is that of the hooks, at the same prices."""
    tested = tiny(kind)
    maps = token_maps(tested.model)
    worths = {m.path: torch.rand(m.bidders, generator=torch.Generator().manual_seed(1)) for m in maps}
    prices = {m.path: 0.02 / m.cost for m in maps}
    ids = tested.batch["input_ids"][:1]
    with torch.no_grad():
        with token_markets(tested.model, maps, worths, PriceRule(prices)):
            expected = tested.model(input_ids=ids).logits
        dense = tested.model(input_ids=ids).logits
        market = sparse(tested.model, maps, worths, prices, prefill="market")
        torch.testing.assert_close(market(input_ids=ids).logits, expected, rtol=0, atol=2e-5)
        cache, rows = None, []
        for t in range(ids.shape[1]):
            out = market(input_ids=ids[:, t : t + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rows.append(out.logits)
    torch.testing.assert_close(torch.cat(rows, 1), expected, rtol=0, atol=2e-4)
    assert float((expected - dense).abs().max()) > 0.01


@pytest.mark.parametrize("kind", ["llama", "opt", "gpt_neox", "gemma3_text", "qwen2_moe", "mixtral"])
def test_a_dense_prompt_is_dense_in_every_map(kind: str, tiny: Any) -> None:
    """OPT's FFN and the shared expert of Qwen2-MoE lay all tokens in one row; a batch that decodes buys in them too."""
    tested = tiny(kind)
    maps = token_maps(tested.model)
    worths, prices = {m.path: torch.ones(m.bidders) for m in maps}, {m.path: 0.05 for m in maps}
    ids = tested.batch["input_ids"][:2, :4]
    last: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for prefill in ("dense", "market"):
            network = sparse(tested.model, maps, worths, prices, prefill)
            for row in ids:  # one after the other: in a batch `market` warns
                prompt = network(row[None, :3], use_cache=True)
                expected = tested.model(row[None, :3]).logits
                assert torch.allclose(prompt.logits, expected, atol=1e-5) == (prefill == "dense")
                if prefill == "dense":
                    told = network(row[None, 3:], past_key_values=prompt.past_key_values).logits
                    last["alone"] = torch.cat([last["alone"], told]) if "alone" in last else told
        network = sparse(tested.model, maps, worths, prices)
        cache = network(ids[:, :3], use_cache=True).past_key_values
        torch.testing.assert_close(network(ids[:, 3:], past_key_values=cache).logits, last["alone"])


def test_the_dense_network_is_left_as_it_is(tiny: Any) -> None:
    tested = tiny("llama")
    maps = token_maps(tested.model)
    before = {name: value.clone() for name, value in tested.model.state_dict().items()}
    sparse(tested.model, maps, {m.path: torch.ones(m.bidders) for m in maps}, {m.path: 1.0 for m in maps})
    assert all(torch.equal(value, before[name]) for name, value in tested.model.state_dict().items())
    assert set(before) == set(tested.model.state_dict())


def test_a_gated_ffn_computes_what_the_stock_one_does(tiny: Any) -> None:
    """A sequence buys everything, so that the module in the place of the FFN must equal it."""
    model: Any = sparse(tiny("llama").model, (), {}, {})
    maps = token_maps(model)
    told = described_maps(maps, "dense")
    attach(model, told)
    assert isinstance(model.model.layers[0].mlp, MarketFFN)
    x = torch.randn(1, 3, 24)
    stock = tiny("llama").model.model.layers[0].mlp
    torch.testing.assert_close(model.model.layers[0].mlp(x), stock(x))


class Gated(nn.Module):
    """A gated FFN as those of Llama and Gemma."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(12, 31, bias=False), nn.Linear(12, 31, bias=False)
        self.down_proj, self.act_fn = nn.Linear(31, 12, bias=False), activation


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("activation", ["silu", "swish", "gelu_pytorch_tanh", "relu"])
def test_a_gated_ffn_in_one_call(
    activation: str, threads: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call of a kernel gives what three maps without a kernel give; ReLU is no activation of the kernel."""
    torch.manual_seed(0)
    names = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
    ffn = Gated(ACT2FN[activation]).to(dtype)
    kinds = {"gate": "features", "up": "neurons", "down": "features"}
    maps = {role: market_of(ffn.get_submodule(name), kinds[role], "dense") for role, name in names.items()}
    for role, price in (("gate", 0.3), ("up", 0.002), ("down", 0.0001)):
        maps[role].get_buffer("price").fill_(price)
    module, calls = MarketFFN(ffn, names, maps), list[Any]()

    def noted(*args: Any) -> torch.Tensor:
        calls.append(args)
        return token_kernels.gated_ffn(*args)

    monkeypatch.setattr(modeling_sparsified, "gated_ffn", noted)
    x, before = torch.randn(1, 1, 12).to(dtype), torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with torch.no_grad():
            fast = module(x)
            monkeypatch.setattr(token_kernels, "numba", None)
            for market in maps.values():
                market.forget()
            plain = module(x)
    finally:
        torch.set_num_threads(before)
    assert len(calls) == (activation != "relu")
    torch.testing.assert_close(fast, plain, **near(dtype))
    assert not torch.allclose(fast, ffn.down_proj(ffn.act_fn(ffn.gate_proj(x)) * ffn.up_proj(x)), atol=1e-3)
    assert fast.abs().max() > 0.01
