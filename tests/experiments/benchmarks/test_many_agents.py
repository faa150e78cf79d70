"""The benchmark of many agents: objects in loops play the market that arrays play."""

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from walras.agents import STRATEGIES, Calibration, Hedge, QuadraticSurrogate, RoundOutcome
from walras.experiments.benchmarks.speed.many_agents import BUDGET, POPULATION, floor_of, network, played
from walras.experiments.benchmarks.speed.one_by_one import CHOICES, OneByOneMarket
from walras.market import ComputeMarket
from walras.mechanisms import ShadowPrice

AGENTS, LAYERS, ROUNDS = 400, 4, 6


def both(calibration: Calibration, population: str) -> tuple[ComputeMarket, OneByOneMarket]:
    budgets, strategy = [BUDGET] * ROUNDS, STRATEGIES.make(population)
    arrays = ComputeMarket(calibration, QuadraticSurrogate(), ShadowPrice(), budgets, strategy=strategy, reentry=True)
    return arrays, OneByOneMarket(calibration, BUDGET, arrays.ledger.strategy.tolist())


@pytest.mark.parametrize("population", ["truthful", "truthful=0.6,shading=0.4"])
def test_without_chance_every_figure_is_the_same(population: str) -> None:
    model = network(AGENTS, LAYERS)
    arrays, objects = both(floor_of(model), population)
    for _ in range(ROUNDS):
        arrays.step()
        objects.step()
    for ours, theirs, economics in zip(objects.rounds, arrays.rounds, arrays.economics, strict=True):
        expected = asdict(theirs) | asdict(economics)
        expected["regret"] = np.nan_to_num(expected["regret"])
        # wealth is counted in quanta of 2^-32 there
        assert ours == pytest.approx({name: expected[name] for name in ours}, rel=1e-6, abs=1e-9)
    assert len({round(row["price"], 12) for row in objects.rounds}) > 1
    assert objects.rounds[-1]["regret"] > 0 or population == "truthful"
    books = arrays.ledger
    assert [agent.quantity for agent in objects.agents] == books.quantity.tolist()
    assert [agent.payment for agent in objects.agents] == pytest.approx(books.payment.tolist())


def test_mixed_strategies_do_what_they_are_called_after() -> None:
    model = network(AGENTS, LAYERS)
    calibration, told = floor_of(model), Counter[str]()
    for market in both(calibration, POPULATION):
        found = played(market, ROUNDS, lambda: told.update(["round"]))
        assert found["round [ms]"] > found["deciding [ms]"] > 0
        assert found["efficiency"] > 0.8
        agents = market.ledger if isinstance(market, ComputeMarket) else market.agents
        if isinstance(market, ComputeMarket):
            report, value, does = market.ledger.report, market.ledger.value, market.ledger.strategy
        else:
            report, value = (np.array([getattr(a, name) for a in market.agents]) for name in ("report", "value"))
            does = np.array([agent.kind for agent in market.agents], dtype=object)
        assert len(agents) == AGENTS
        ratio, does = report[value > 0] / value[value > 0], does[value > 0]
        assert ratio[does == "truthful"] == pytest.approx(1)
        assert ratio[does == "shading"] == pytest.approx(0.8)
        assert (ratio[does == "zero-intelligence"] < 1).all()
        assert np.isin(ratio[does == "hedge"].round(6), CHOICES).all()
    assert told["round"] == 2 * ROUNDS


def test_one_learner_learns_what_an_array_of_them_does() -> None:
    model = network(AGENTS, LAYERS)
    _, market = both(floor_of(model), "hedge")
    market.step()
    before, price = np.array([a.score for a in market.agents]), np.array([a.price for a in market.agents])
    market.step()
    nothing, value = np.zeros(AGENTS), np.array([agent.value for agent in market.agents])
    expected = Hedge(CHOICES).rewards(RoundOutcome(value, nothing, nothing, price, nothing))
    assert (expected[:, 1:].max(0) > 0).all()
    assert np.array([agent.score for agent in market.agents]) - before == pytest.approx(expected)
