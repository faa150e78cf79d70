"""OSSCAR's choice in each sub-layer, against doing the same by hand."""

import copy
from typing import Any

import pytest
import torch

from walras.agents import Calibration, Uniform
from walras.errors import InputError
from walras.market import Osscar, RepairWeights, SublayerSessions
from walras.models.levels.moments import input_moments
from walras.models.surgeon import StructuredOBS
from walras.models.surgeon.swaps import swapped


def copied(floor: Any) -> tuple[Calibration, Any]:
    """The calibration of a copy of the network, and the copy, which somebody has to hold."""
    given, model = floor.calibration, copy.deepcopy(floor.model)
    return Calibration(model, given.inventory, given.objective, given.batches, given.cost, floor.model), model


@pytest.mark.parametrize("budget", [0.4, 0.7])
def test_each_sub_layer_is_chosen_on_what_the_pruned_network_below_feeds_it(budget: float, floor: Any) -> None:
    floor.calibration, model = copied(floor)
    phases = [SublayerSessions(), Osscar(neurons=2, swapped_neurons=1), RepairWeights("structured_obs")]
    market = floor.market(Uniform(), budgets=(budget,), phases=phases)
    for _ in market.remaining():
        market.step()
    keep = market.ledger.quantity > 0
    mine, gates = copy.deepcopy(market.calibration.network("a test").dense), torch.ones(len(floor.units))
    for place, site in enumerate(floor.units.sites):
        moment = input_moments(mine, floor.units, floor.calibration.batches, gates, [place])[place]
        weight = mine.get_submodule(site.path).weight.detach()
        count = int(keep[site.units].sum())
        surgeon = StructuredOBS.from_moment(weight, moment, site.block, together=2)
        exchanged = 5 if site.sublayer == "heads" else 1
        own = swapped(surgeon, surgeon.keeping(count), exchanged, 20)
        assert keep[site.units].tolist() == own.tolist()
        gates[site.units] = torch.from_numpy(own).float()
        weight[:, surgeon.features(own)] = surgeon.refitted(own).float()
        torch.testing.assert_close(model.get_submodule(site.path).weight.detach(), weight, rtol=1e-3, atol=1e-5)
    assert Osscar.name not in market.memory
    assert market.rounds[-1].used <= budget


def test_all_or_nothing_is_no_choice(floor: Any) -> None:
    floor.calibration, model = copied(floor)
    phases = [SublayerSessions(), Osscar(), RepairWeights("structured_obs")]
    market = floor.market(Uniform(), budgets=(1.0,), phases=phases)
    for _ in market.remaining():
        market.step()
    assert (market.ledger.quantity > 0).all()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), floor.model.parameters(), strict=True))


def test_what_it_refuses(floor: Any) -> None:
    with pytest.raises(InputError, match="phase Osscar chooses sub-layer by sub-layer; put phase sublayer-sessions"):
        floor.market(Uniform(), phases=[Osscar()])
    for name in ("neurons", "heads", "swapped_neurons", "swapped_heads"):
        with pytest.raises(InputError, match=f"{name} is 0; it must be a number of at least 1"):
            Osscar(**{name: 0})
    with pytest.raises(InputError, match="rounds is -1"):
        Osscar(rounds=-1)
