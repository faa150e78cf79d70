"""Rounds on a real, if tiny, network."""

import gc
import math
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from walras.agents import FFNBlockAgent, Fisher, HeadAgent, Magnitude, Random
from walras.errors import InputError
from walras.market import ComputeMarket, budget_path

N, HEADS = 14, 4
# Readers of `rounds.parquet` know these names.
COLUMNS = [
    "round", "budget", "used", "price", "welfare", "revenue", "surplus", "heads", "ffn", "left", "entered", "status",
    "residual", "shock", "bound", "efficiency", "duality_gap", "gini_wealth", "gini_compute", "volatility", "regret",
    "deviation_gain",
]  # fmt: skip


def play(market: ComputeMarket, rounds: int) -> ComputeMarket:
    for _ in range(rounds):
        market.step()
    return market


def test_a_round_is_what_its_clearing_says(floor: Any) -> None:
    market = floor.market(Fisher(), budgets=budget_path(0.3, 4))
    assert torch.equal(market.gates, torch.ones(N))
    assert market.round == 0
    earned = np.zeros(N)
    for number, budget in enumerate(budget_path(0.3, 4), 1):
        before, ledger = market.gates, market.ledger
        market.step()
        clearing, played = market.clearing, market.rounds[-1]
        assert clearing is not None
        assert torch.equal(market.gates.double(), clearing.quantity)
        assert set(market.gates.tolist()) <= {0.0, 1.0}
        value = Fisher()(floor.calibration, before, torch.Generator())
        torch.testing.assert_close(torch.from_numpy(ledger.value), value)  # anew, under the gates as they were
        used = float(ledger.cost @ ledger.quantity)
        funded = ledger.quantity > 0
        assert (played.round, market.round, played.budget, played.status) == (number, number, budget, clearing.word)
        assert 0 < played.used <= played.budget
        assert played.used == pytest.approx(used)
        assert played.price == clearing.price.item()
        assert played.residual == clearing.residual.item()
        assert played.welfare == pytest.approx(ledger.value[funded].sum())
        assert played.revenue == pytest.approx(ledger.payment.sum())
        assert played.surplus == pytest.approx(played.welfare - played.revenue)
        heads = sum(f and k == "head" for f, k in zip(funded, ledger.kind, strict=True))
        assert played.funded == {"head": heads, "ffn": funded.sum() - heads}
        assert played.left == ((before.numpy() > 0) & ~funded).sum()
        assert played.entered == 0
        assert ledger.price == pytest.approx(played.price * ledger.cost)
        assert (ledger.payment[~funded] == 0).all()
        assert (ledger.surplus >= 0).all()
        earned += ledger.surplus
    shares = [r.used for r in market.rounds]
    assert shares == sorted(shares, reverse=True)
    assert market.rounds[0].used > 0.6
    assert market.ledger.wealth == pytest.approx(earned, abs=4 * market.ledger.quantum)


def test_the_market_ends_with_its_last_budget(floor: Any) -> None:
    market = floor.market(Magnitude(), budgets=[0.8, 0.6, 0.4])
    assert [session.budget for session in market.remaining()] == [0.8, 0.6, 0.4]  # nothing is played by asking
    market.step()
    assert market.running
    for session in market.remaining():
        assert session is market.sessions[market.round]
        market.step()
    assert not market.running
    gates = market.gates
    market.step()  # changes nothing
    assert [r.budget for r in market.rounds] == [0.8, 0.6, 0.4]
    assert len(market.datacollector.get_model_vars_dataframe()) == 3
    assert torch.equal(market.gates, gates)
    assert [*market.remaining()] == []


def test_a_hook_may_end_the_market_early(floor: Any) -> None:
    market = floor.market(Magnitude(), budgets=[0.8, 0.6, 0.4])
    market.on("played", lambda market, turn: setattr(market, "running", turn.number < 2))
    for _ in market.remaining():
        market.step()
    assert market.round == 2


@pytest.mark.parametrize("reentry", [False, True])
def test_who_left_comes_back_only_where_that_is_allowed(floor: Any, reentry: bool) -> None:
    cost = floor.calibration.cost
    first, second = cost * np.arange(1, N + 1), cost * np.arange(N, 0, -1)
    market = play(floor.market(floor.given(first, second), budgets=[0.5, 0.5], reentry=reentry), 2)
    before, after = market.rounds
    if reentry:
        assert after.entered == after.left > 0
        assert market.ledger.quantity[0] == 1
    else:
        assert after.entered == after.left == 0
        assert market.ledger.quantity[0] == 0
        assert after.funded == before.funded
    kept = market.ledger.quantity > 0
    assert market.ledger.report == pytest.approx(second if reentry else np.where(kept, second, 0))
    assert market.clearing is not None
    assert market.clearing.quantity.shape == market.clearing.payment.shape == (N,)


def test_agents_are_views_of_the_ledger(floor: Any) -> None:
    market = play(floor.market(Fisher(), endowment=0.25), 1)
    assert {cls: len(agents) for cls, agents in market.agents_by_type.items()} == {
        HeadAgent: HEADS,
        FFNBlockAgent: N - HEADS,
    }
    for agent in market.agents:
        row, ledger = agent.row, market.ledger
        assert agent.name == floor.units.name(row)
        assert agent.kind == ("head" if isinstance(agent, HeadAgent) else "ffn") == ledger.kind[row]
        for column in ("layer", "index", "cost", "value", "report", "quantity", "price", "payment", "surplus"):
            assert getattr(agent, column) == getattr(ledger, column)[row], column
        assert agent.wealth == ledger.wealth[row]
        assert agent.wealth == pytest.approx(0.25 + agent.surplus, abs=2 * ledger.quantum)
    assert sorted(a.row for a in market.agents) == list(range(N))


def test_agents_are_selected_as_in_any_mesa_model(floor: Any) -> None:
    market = play(floor.market(Fisher()), 1)
    funded = market.agents.select(lambda a: a.quantity > 0)
    assert len(funded) == sum(market.rounds[0].funded.values())
    heads = market.agents.select(agent_type=HeadAgent)
    assert [a.name for a in heads] == ["L0.H0", "L0.H1", "L1.H0", "L1.H1"]
    assert market.agents.agg("value", sum) == pytest.approx(market.ledger.value.sum())
    assert sum(market.agents.get("payment")) == pytest.approx(market.rounds[0].revenue)


def test_the_data_collector_has_a_row_per_round(floor: Any) -> None:
    market = play(floor.market(Fisher(), budgets=[0.9, 0.7, 0.5]), 3)
    collected = market.datacollector.get_model_vars_dataframe()
    assert list(collected.columns) == COLUMNS
    assert len(collected) == 3
    pd.testing.assert_frame_equal(collected.reset_index(drop=True), market.frame)
    assert market.frame["round"].tolist() == [1, 2, 3]


def test_random_draws_depend_on_seed_and_round_only(floor: Any) -> None:
    def values(seed: int, mechanism: Any = None) -> list[list[float]]:
        seen: list[list[float]] = []
        market = floor.market(Random(), mechanism, [0.5] * 3, seed=seed)
        market.on("valued", lambda market, turn: seen.append(turn.value.tolist()))
        play(market, 3)
        return seen

    first = values(1)
    torch.manual_seed(7)
    np.random.seed(7)
    assert values(1) == first
    assert values(2) != first
    assert first[0] != first[1] != first[2]


def test_gates_are_a_copy(floor: Any) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        market = play(floor.market(Magnitude()), 1)
        before = market.ledger.quantity.copy()
        market.gates.zero_()
        assert np.array_equal(market.ledger.quantity, before)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("budget", [0, -0.5, 1.5, math.nan, None])
def test_every_budget_is_checked_before_anything_is_valued(floor: Any, budget: Any) -> None:
    with pytest.raises(InputError, match=f"budget is {budget!r}; it must be a share"):
        floor.market(Fisher(), budgets=[0.9, budget])


def test_a_market_needs_a_budget(floor: Any) -> None:
    with pytest.raises(InputError, match="budgets is empty"):
        floor.market(Fisher(), budgets=[])


def test_a_market_does_not_keep_its_network_alive(floor: Any) -> None:
    """Mesa 3.3 never frees a model; the network behind it must not be lost with it."""
    market = play(floor.market(Fisher(), budgets=[0.8, 0.6, 0.5]), 2)
    watched: weakref.ref[nn.Module] = weakref.ref(floor.model)
    floor.model = None
    gc.collect()
    assert watched() is None
    with pytest.raises(InputError, match="has been deleted; keep a reference"):
        market.step()
    assert market.round == 2
