"""Worths by hand: of a linear map, and of the neurons of a gated FFN."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walras.models.objective import Batch, Objective
from walras.models.tokens.token_map import token_maps
from walras.models.tokens.trading import bid_values, token_markets
from walras.models.tokens.worths import TOKEN_VALUATIONS, ColumnNorm, FisherWorth, Magnitude
from walras.models.units.projections import outputs_first


class FirstLogits(Objective):
    """The mean over samples of a sum of a few logits, which is nearly linear in what a last map writes."""

    unit = "logits"

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        del generator
        given = {name: value for name, value in batch.items() if name != "labels"}
        found: Tensor = model(**given).logits[..., :3].double().sum((-2, -1)).mean()
        return found


def without_padding(tested: Any) -> list[Batch]:
    ids = tested.batch["input_ids"]
    return [{"input_ids": part, "attention_mask": torch.ones_like(part)} for part in ids.split(2)]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_fisher_is_the_mean_squared_slope(kind: str, tiny: Any) -> None:
    """Of what each output of a map would change by; of neurons, of a factor on the neuron: token by token."""
    tested = tiny(kind, dtype=torch.float64)
    batches = without_padding(tested)
    maps = token_maps(tested.model)
    worths = FisherWorth()(tested.model, maps, batches, FirstLogits(), 0)
    assert all(p.requires_grad for p in tested.model.parameters())
    tokens = sum(batch["input_ids"].numel() for batch in batches)
    for traded in [m for m in maps if m.layer == 1]:
        squares = torch.zeros(traded.bidders, dtype=torch.float64)
        for batch in batches:
            squares += squared_changes(tested.model, traded, batch)
        torch.testing.assert_close(worths[traded.path].double(), squares / tokens, rtol=2e-3, atol=1e-12)


def squared_changes(model: nn.Module, traded: Any, batch: Batch) -> Tensor:
    """[bidders] sum over tokens and outputs of the squared change of the summed loss, by a step along each output."""
    written: list[Tensor] = []

    def step(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        written.append(torch.zeros_like(out, requires_grad=True))
        return out + written[0]

    handle = model.get_submodule(traded.signal or traded.path).register_forward_hook(step)
    try:
        loss = FirstLogits()(model, batch, torch.Generator()) * len(batch["input_ids"])
        (slope,) = torch.autograd.grad(loss, written[0])
    finally:
        handle.remove()
    slopes = slope.reshape(-1, traded.outputs)
    if traded.signal:
        return slopes.square().sum(0)
    weight = outputs_first(model.get_submodule(traded.path)).detach()
    found: Tensor = torch.einsum("to,oj->toj", slopes, weight).square().sum((0, 1))
    return found


def test_norms_and_magnitudes(tiny: Any) -> None:
    model = tiny("llama").model
    maps = token_maps(model)
    norms = ColumnNorm()(model, maps, [], FirstLogits(), 0)
    ones = Magnitude()(model, maps, [], FirstLogits(), 0)
    for traded in maps:
        assert norms[traded.path].shape == ones[traded.path].shape == (traded.bidders,)
        assert bool((ones[traded.path] == 1).all())
        bought = maps[-1] if traded.signal and traded.layer == 2 else traded
        if not (traded.signal and traded.layer < 2):
            weight = outputs_first(model.get_submodule(bought.path))
            torch.testing.assert_close(norms[traded.path], (weight**2).sum(0))
    assert set(TOKEN_VALUATIONS) == {"fisher", "column-norm", "magnitude"}


def test_bids(tiny: Any) -> None:
    traded = token_maps(tiny("bert").model)[0]
    found = bid_values(traded, torch.tensor([2.0, -3.0]), torch.tensor([24.0, 48.0]))
    assert found.tolist() == [4.0, 18.0]  # 4 * 24 / 24 outputs, 9 * 48 / 24


def test_what_nobody_buys_counts_as_nothing(tiny: Any) -> None:
    """With nobody buying, a map writes its bias; with everybody, nothing changes, bit for bit."""
    tested = tiny("llama")
    maps = token_maps(tested.model)
    worths = Magnitude()(tested.model, maps, [], FirstLogits(), 0)
    with torch.no_grad():
        dense = tested.logits()
        with token_markets(tested.model, maps, worths, lambda m, v: torch.ones_like(v, dtype=torch.bool)):
            assert torch.equal(tested.logits(), dense)
        seen: dict[str, Tensor] = {}
        handles = [
            tested.model.get_submodule(m.path).register_forward_hook(
                lambda module, args, out, path=m.path: seen.__setitem__(path, out)
            )
            for m in maps
        ]
        with token_markets(tested.model, maps, worths, lambda m, v: torch.zeros_like(v, dtype=torch.bool)):
            tested.logits()
        for handle in handles:
            handle.remove()
        assert torch.equal(tested.logits(), dense)
    real = tested.batch["attention_mask"].bool()
    assert not bool(real.all())  # padding is computed in full
    for traded in maps:
        bias = tested.model.get_submodule(traded.path).bias
        if not traded.signal:
            assert torch.equal(seen[traded.path][real], bias.expand_as(seen[traded.path][real]))
            assert not torch.equal(seen[traded.path], bias.expand_as(seen[traded.path]))
