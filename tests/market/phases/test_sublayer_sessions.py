"""Clearing sub-layer by sub-layer, swaps within sub-layers, and repair in between."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import nn

from walras.agents import Calibration, Fisher, Magnitude
from walras.errors import InputError
from walras.market import Disable, RepairWeights, Session, SublayerSessions, SwapRefinement
from walras.models import Site, inventory, macs
from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.repair import ModelPair, PrunedSublayer, Repair


@final
@dataclass(frozen=True)
class Noted(Repair):
    """Notes what it is asked to repair, and changes one bias so that the market can notice."""

    calls: list[tuple[tuple[str, ...], list[bool]]] = field(default_factory=list)

    def __call__(self, pair: ModelPair, keep: Any, sites: Sequence[Site] | None = None) -> None:
        assert pair.now.model is not pair.before.model
        self.calls.append((tuple(s.path for s in (pair.inventory.sites if sites is None else sites)), keep.tolist()))

    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        raise AssertionError("the walk itself is replaced")


def copied(floor: Any) -> tuple[Calibration, nn.Module]:
    """The calibration of a copy of the network, and the copy, which somebody has to hold."""
    given, model = floor.calibration, copy.deepcopy(floor.model)
    return Calibration(model, given.inventory, given.objective, given.batches, given.cost, floor.model), model


def test_a_session_for_every_budget_and_sub_layer(floor: Any) -> None:
    sites = floor.units.sites
    assert floor.market(floor.rising(), budgets=(0.7, 0.5)).sessions == [Session(0.7), Session(0.5)]
    by_turns = floor.market(floor.rising(), budgets=(0.7, 0.5), phases=[SublayerSessions()])
    assert by_turns.sessions == [Session(b, s) for b in (0.7, 0.5) for s in sites]
    assert len([*by_turns.remaining()]) == 2 * len(sites)


@pytest.mark.parametrize("budget", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("rising", [True, False])
def test_while_values_stand_still_it_is_one_clearing(floor: Any, budget: float, rising: bool) -> None:
    per_cost = np.arange(1, len(floor.units) + 1)[:: 1 if rising else -1]  # the best lie on top, or at the bottom
    values = floor.given((floor.calibration.cost * per_cost).tolist())
    once = floor.market(values, budgets=(budget,))
    once.step()
    by_turns = floor.market(values, budgets=(budget,), phases=[SublayerSessions()])
    for _ in by_turns.remaining():
        by_turns.step()
    assert len(by_turns.sessions) == 4
    assert by_turns.gates.tolist() == once.gates.tolist()
    assert by_turns.rounds[-1].used == pytest.approx(once.rounds[-1].used)
    assert by_turns.rounds[-1].used <= budget


def test_whoever_lies_above_keeps_its_gate_until_its_turn(floor: Any) -> None:
    market = floor.market(Fisher(), budgets=(0.4,), phases=[SublayerSessions()])
    settled: list[float] = []
    for site in floor.units.sites:
        money = market.ledger.money
        wealth = market.ledger.wealth.copy() if market.round else None
        market.step()
        gates = market.gates.tolist()
        assert gates[: site.units.start] == settled
        assert gates[site.units.stop :] == [1.0] * (len(gates) - site.units.stop)
        settled = gates[: site.units.stop]
        if wealth is not None:  # only those whose turn it is are paid and pay
            others = np.ones(len(gates), dtype=bool)
            others[site.units] = False
            assert market.ledger.money == money
            assert market.ledger.wealth[others].tolist() == wealth[others].tolist()
            assert market.ledger.payment[others].tolist() == [0.0] * int(others.sum())
    assert market.rounds[-1].used <= 0.4 < market.rounds[0].used


def test_values_of_layers_that_have_settled_are_not_taken_anew(floor: Any) -> None:
    market = floor.market(Fisher(), budgets=(0.4,), phases=[SublayerSessions()])
    market.step()
    market.step()
    below = market.ledger.layer == 0
    before = market.ledger.value.copy()
    market.step()
    assert market.ledger.value[below].tolist() == before[below].tolist()
    assert (market.ledger.value[~below] != before[~below]).any()


def test_repair_follows_every_clearing_and_sees_its_outcome(floor: Any) -> None:
    calibration, model = copied(floor)
    repair = Noted()
    floor.calibration = calibration
    market = floor.market(floor.rising(), budgets=(0.5,), phases=["sublayer-sessions", RepairWeights(repair)])
    for _ in market.remaining():
        market.step()
        assert repair.calls[-1][1] == (market.gates > 0).tolist()
    assert [paths for paths, _ in repair.calls] == [(site.path,) for site in floor.units.sites]
    whole = floor.market(floor.rising(), budgets=(0.5,), phases=[RepairWeights(repair)])
    whole.step()
    assert repair.calls[-1][0] == tuple(site.path for site in floor.units.sites)
    assert model is calibration.model


@pytest.mark.parametrize("budgets", [(0.5,), (0.7, 0.5)], ids=["one", "two"])
def test_repairs_go_on_from_the_last_one(floor: Any, budgets: tuple[float, ...]) -> None:
    """To the same weights, without running the layers below anew."""
    dense, found = floor.calibration, []
    for kept in (True, False):
        floor.calibration = dense
        floor.calibration, model = copied(floor)
        market = floor.market(
            floor.rising(), budgets=budgets, phases=[SublayerSessions(), RepairWeights(LeastSquares())]
        )
        runs: list[int] = []
        model.get_submodule("encoder.layer.0.attention").register_forward_hook(lambda *_, runs=runs: runs.append(1))
        for _ in market.remaining():
            market.step()
            if not kept:
                market.memory.clear()
        found.append((model.state_dict(), len(runs)))
    (kept_weights, kept_runs), (weights, anew) = found
    assert all(torch.equal(kept_weights[name], weights[name]) for name in weights)
    assert any(not torch.equal(weights[name], tensor) for name, tensor in floor.model.state_dict().items())
    assert kept_runs < anew


def test_the_dense_network_is_not_repaired(floor: Any) -> None:
    with pytest.raises(InputError, match="must be a copy"):
        floor.market(floor.rising(), phases=[RepairWeights(Noted())])


def test_swaps_leave_every_sub_layer_its_number(floor: Any) -> None:
    plain = floor.market(Fisher(), budgets=(0.5,))
    swapped = floor.market(Fisher(), budgets=(0.5,), phases=[SwapRefinement()])
    plain.step()
    swapped.step()
    for site in floor.units.sites:
        assert float(plain.gates[site.units].sum()) == float(swapped.gates[site.units].sum())
    assert bool((torch.from_numpy(swapped.ledger.payment) <= torch.from_numpy(swapped.ledger.report) + 1e-12).all())
    assert swapped.ledger.payment[swapped.ledger.quantity == 0].sum() == 0


@pytest.mark.parametrize("struck", [False, True])
def test_a_shock_begins_the_repair_anew(floor: Any, struck: bool) -> None:
    """What was kept of the layers below holds no longer: a unit of them has broken."""
    floor.calibration, model = copied(floor)
    shocks = [Disable(3, ("L0.F4",))] if struck else []
    phases = [SublayerSessions(), RepairWeights(LeastSquares())]
    market = floor.market(floor.rising(), phases=phases, shocks=shocks)
    market.step()
    market.step()
    pair = market.memory["repair"]
    market.step()
    assert (market.memory["repair"] is pair) is not struck
    market.step()
    assert "repair" not in market.memory  # closed with the last sub-layer
    with pytest.raises(InputError, match="closed"):
        pair.now.advance_to(0)
    assert model is market.calibration.network("test").model


def test_whole_sub_layers_trade_one_by_one_too(floor: Any) -> None:
    floor.units = inventory(floor.model, ["block"])
    given = floor.calibration
    share = macs(floor.model, floor.units, 8).share
    floor.calibration = Calibration(floor.model, floor.units, given.objective, given.batches, share)
    market = floor.market(Magnitude(), budgets=(0.6,), phases=[SublayerSessions()])
    for _ in market.remaining():
        market.step()
    assert market.round == len(floor.units) == 4
    assert {*market.rounds[-1].funded} == {"block"}
    assert market.frame["blocks"].iloc[-1] == market.rounds[-1].funded["block"] < 4
    assert market.rounds[-1].used <= 0.6
