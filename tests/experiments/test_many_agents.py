"""The benchmark of many agents: those who decide one by one follow the strategies that arrays follow."""

from collections import Counter

import numpy as np
import pytest

from walras.agents import Hedge, Outcome, QuadraticSurrogate, UnitAgent
from walras.experiments.benchmarks.many_agents import (
    BUDGET,
    FACTORS,
    POPULATION,
    OneByOne,
    floor_of,
    network,
    played,
)
from walras.experiments.bidding import find_strategy
from walras.market import ComputeMarket
from walras.mechanisms import ShadowPrice

AGENTS, LAYERS, ROUNDS = 400, 4, 6


def test_one_by_one_is_the_same_market() -> None:
    model = network(AGENTS, LAYERS)
    calibration, told = floor_of(model), Counter[str]()
    markets: list[ComputeMarket] = []
    owns: list[dict[str, type[UnitAgent]]] = [{}, {"head": OneByOne, "ffn": OneByOne}]
    for own in owns:
        market = ComputeMarket(
            calibration, QuadraticSurrogate(), ShadowPrice(), [BUDGET], strategy=find_strategy(POPULATION),
            reentry=True, agents=own,
        )  # fmt: skip
        found = played(market, ROUNDS, lambda: told.update(["round"]))
        assert found["round [ms]"] > found["bids [ms]"] > 0
        assert found["efficiency"] > 0.8
        markets.append(market)
    assert told["round"] == 2 * ROUNDS
    arrays, alone = (np.array(market.strategy.names(AGENTS)) for market in markets)
    assert arrays.tolist() == alone.tolist()
    for market in markets:
        ledger, worth = market.ledger, market.ledger.value > 0
        assert len(ledger) == AGENTS
        ratio, does = ledger.report[worth] / ledger.value[worth], arrays[worth]
        assert ratio[does == "truthful"] == pytest.approx(1)
        assert ratio[does == "shading"] == pytest.approx(0.8)
        assert (ratio[does == "zero-intelligence"] < 1).all()
        assert np.isin(ratio[does == "hedge"].round(6), FACTORS).all()


def test_one_learner_learns_what_an_array_of_them_does() -> None:
    model = network(AGENTS, LAYERS)
    calibration = floor_of(model)
    market = ComputeMarket(
        calibration, QuadraticSurrogate(), ShadowPrice(), [BUDGET], strategy=find_strategy("hedge"), reentry=True,
        agents={"head": OneByOne, "ffn": OneByOne},
    )  # fmt: skip
    market.step()
    learners: list[OneByOne] = sorted(market.agents, key=lambda agent: agent.row)
    before, books = np.array([agent.score for agent in learners]), market.ledger
    price, nothing = books.price.copy(), np.zeros(AGENTS)
    market.step()
    outcome = Outcome(books.value, nothing, nothing, price, nothing)
    expected = Hedge(FACTORS).rewards(outcome)
    assert (expected[:, 1:].max(0) > 0).all()
    assert np.array([agent.score for agent in learners]) - before == pytest.approx(expected)
