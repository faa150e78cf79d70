"""Scales of heads and neurons: exact where they can be, against direct solvers, and stopping where told."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import Inventory, compact, gated, inventory
from walras.models.repair import scales as tuning
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.repair import ModelPair
from walras.models.repair.scales import Scales
from walras.models.units.projections import outputs_first
from walras.models.units.site import Site

Mask = NDArray[np.bool_]
HEAD = {"bert": 6, "distilbert": 6, "gpt2": 6, "llama": 4}  # features


def _without(units: Inventory, *names: str) -> Mask:
    return np.array([units.name(i) not in names for i in range(len(units))])


def _half(units: Inventory) -> Mask:
    keep = np.random.default_rng(0).random(len(units)) < 0.5
    keep[[site.units.start for site in units.sites]] = True
    return keep


def _rows(tested: Any, size: int = 2) -> list[dict[str, Tensor]]:
    return [{name: x[i : i + size] for name, x in tested.batch.items()} for i in range(0, 4, size)]


def _tuned(tested: Any, units: Inventory, keep: Mask, sites: Any = None, **settings: Any) -> nn.Module:
    model: nn.Module = copy.deepcopy(tested.model)
    with ModelPair.from_models(model, tested.model, units, _rows(tested)) as pair:
        Scales(**settings)(pair, keep, sites)
    return model


def _weights(model: nn.Module, site: Site) -> Tensor:
    return outputs_first(model.get_submodule(site.path))


def _factors(tested: Any, model: nn.Module, site: Site) -> Tensor:
    """By what each column of an output projection was multiplied [width], from its largest entry."""
    old, new = _weights(tested.model, site), _weights(model, site)
    place = old.abs().argmax(0, keepdim=True)
    factor = (new.gather(0, place) / old.gather(0, place)).squeeze(0)
    torch.testing.assert_close(new, old * factor)
    return factor


def _error(tested: Any, model: nn.Module, units: Inventory, keep: Mask) -> list[float]:
    """Squared distance of the residual streams after each sub-layer."""
    found = []
    with gated(model, units, torch.tensor(keep).to(next(model.parameters()))):
        for site in units.sites:
            with LayerwiseRunner(model, [tested.batch]) as now, LayerwiseRunner(tested.model, [tested.batch]) as dense:
                (a,), (b,) = now.read(site), dense.read(site)
                found.append(float((a.total - b.total).square().sum()))
    return found


def test_a_twin_is_made_good_by_doubling(tiny: Any) -> None:
    """Of two FFN blocks that do the same, one leaves: the other's neurons are needed twice, all others once."""
    tested = tiny("bert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    layer = tested.model.bert.encoder.layer[1]
    with torch.no_grad():
        for weight in (layer.intermediate.dense.weight, layer.intermediate.dense.bias):
            weight[8:16] = weight[:8]
        layer.output.dense.weight[:, 8:16] = layer.output.dense.weight[:, :8]
    keep = _without(units, "L1.F1")
    with torch.no_grad():
        dense = tested.logits()
        assert float((tested.logits(compact(tested.model, units, keep)) - dense).abs().max()) > 1e-2
    model = _tuned(tested, units, keep, damping=0.0, sites=[units.sites[3]])
    with torch.no_grad():
        torch.testing.assert_close(tested.logits(compact(model, units, keep)), dense, rtol=0, atol=1e-3)
    factors = _factors(tested, model, units.sites[3])
    torch.testing.assert_close(factors[:8], torch.full((8,), 2.0, dtype=torch.float64), rtol=0, atol=1e-2)
    torch.testing.assert_close(factors[16:], torch.ones(24, dtype=torch.float64), rtol=0, atol=1e-2)
    assert factors[8:16].tolist() == [1.0] * 8  # columns of what has left stay as they were


@pytest.mark.spread
@pytest.mark.parametrize("name", list(HEAD))
@pytest.mark.parametrize("place", [0, 1], ids=["heads", "ffn"])
@pytest.mark.parametrize("damping", [1.0, 30.0])
def test_the_solution_is_that_of_a_direct_solver(name: str, place: int, damping: float, tiny: Any) -> None:
    """Of |A'A x - A'T|^2 + damping^2 |x|^2, with what each head or neuron adds written out."""
    tested = tiny(name, dtype=torch.float64)
    units = inventory(tested.model, block=8)
    site = units.sites[place]
    keep = np.ones(len(units), dtype=bool)
    keep[site.units.start] = False
    size = HEAD[name] if site.sublayer == "heads" else 1
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        (seen,) = runner.read(site)
    weight, added = _weights(tested.model, site), []
    assert len(seen.features) == int(tested.batch["attention_mask"].sum())
    for first in range(0, site.width, size):
        part = slice(first, first + size)
        added.append((seen.features[:, part] @ weight[:, part].T).flatten())
    gone = units.width[site.units.start] // size
    target, a = torch.stack(added[:gone]).sum(0), torch.stack(added[gone:], 1)
    gram = a.T @ a
    eye = damping * torch.eye(len(gram), dtype=torch.float64)
    right = torch.cat([a.T @ target, torch.zeros(len(gram), dtype=torch.float64)])
    expected = 1 + torch.linalg.lstsq(torch.cat([gram, eye]), right).solution
    assert float((expected - 1).abs().max()) > 1e-3
    factors = _factors(tested, _tuned(tested, units, keep, [site], damping=damping), site)
    torch.testing.assert_close(factors[gone * size :: size], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(factors, factors[::size].repeat_interleave(size), rtol=1e-9, atol=0)
    assert factors[: gone * size].tolist() == [1.0] * (gone * size)


@pytest.mark.parametrize("name", list(HEAD))
def test_streams_come_closer_to_the_dense_network(name: str, tiny: Any) -> None:
    tested = tiny(name, dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = _half(units)
    before = _error(tested, copy.deepcopy(tested.model), units, keep)
    after = _error(tested, _tuned(tested, units, keep, damping=0.0, limit=1e3), units, keep)
    assert after[-1] < 0.95 * before[-1]


def test_sub_layers_higher_up_make_good_what_went_wrong_below(tiny: Any) -> None:
    tested = tiny("bert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = _without(units, "L1.H0")
    model = _tuned(tested, units, keep)
    for site in units.sites[:2]:
        assert torch.equal(_weights(model, site), _weights(tested.model, site))
    for site in units.sites[2:]:
        assert not torch.equal(_weights(model, site), _weights(tested.model, site))
    names = {f"{site.path}.weight" for site in units.sites[2:]}
    stock = dict(tested.model.named_parameters())
    assert {n for n, p in model.named_parameters() if not torch.equal(p, stock[n])} == names


def test_tuning_stops_altogether_where_a_scale_is_too_large(tiny: Any) -> None:
    """The twin that leaves writes 20 times what the other does, which would have to be scaled by 21."""
    tested = tiny("bert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    layer = tested.model.bert.encoder.layer[1]
    with torch.no_grad():
        for weight in (layer.intermediate.dense.weight, layer.intermediate.dense.bias):
            weight[8:16] = weight[:8]
        layer.output.dense.weight[:, 8:16] = 20 * layer.output.dense.weight[:, :8]
    keep = _without(units, "L1.H1", "L1.F1")
    model = _tuned(tested, units, keep, damping=0.0)
    changed = [not torch.equal(_weights(model, s), _weights(tested.model, s)) for s in units.sites]
    assert changed == [False, False, True, False, False, False]  # what was tuned before stays so
    changed = [
        not torch.equal(_weights(_tuned(tested, units, keep, damping=0.0, limit=1e4), s), _weights(tested.model, s))
        for s in units.sites
    ]
    assert changed == [False, False, True, True, True, True]


@pytest.mark.parametrize("answer", [(0.5, 7), (math.nan, 1)], ids=["out of iterations", "not finite"])
def test_tuning_stops_where_the_solver_fails(
    answer: tuple[float, int], tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def solver(matrix: Any, right: Any, **_: Any) -> Any:
        return np.full(len(right), answer[0]), answer[1], 0, 0.0

    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    monkeypatch.setattr(tuning, "lsmr", solver)
    model = _tuned(tested, units, _half(units))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tested.model.parameters(), strict=True))


def test_nothing_to_tune(tiny: Any) -> None:
    """All stay; or a sub-layer has nobody left, and those above are tuned all the same."""
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    whole = _tuned(tested, units, np.ones(len(units), dtype=bool))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), tested.model.parameters(), strict=True))
    keep = np.ones(len(units), dtype=bool)
    keep[units.sites[1].units] = False
    model = _tuned(tested, units, keep)
    changed = [not torch.equal(_weights(model, s), _weights(tested.model, s)) for s in units.sites]
    assert changed == [False, False, True, True, True, True]


def test_how_rows_are_batched_is_of_no_account(tiny: Any) -> None:
    tested = tiny("distilbert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = _half(units)
    found = []
    for size in (1, 4):
        model = copy.deepcopy(tested.model)
        with ModelPair.from_models(model, tested.model, units, _rows(tested, size)) as pair:
            Scales()(pair, keep)
        found.append(model)
    for a, b in zip(found[0].parameters(), found[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_bad_settings() -> None:
    for damping in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match=f"damping is {damping}; it must be a number of at least 0"):
            Scales(damping=damping)
    for limit in (1.0, -2.0, math.nan):
        with pytest.raises(InputError, match=f"limit is {limit}; it must be a number above 1"):
            Scales(limit=limit)
