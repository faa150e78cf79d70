"""Agents that learn: they are told what every settled round brought them."""

from collections.abc import Iterator
from typing import Any

import pytest

from walras.agents import FFNBlockAgent, HeadAgent, UnitOutcome
from walras.errors import UserCodeError
from walras.market import ComputeMarket

TOLD: list[tuple[str, UnitOutcome]] = []


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    TOLD.clear()
    yield
    TOLD.clear()


class Cautious(HeadAgent):
    """Bids what it bid, and a little less after every round that it won."""

    factor = 1.0

    def bid(self) -> float:
        return self.factor * self.value

    def after(self, outcome: UnitOutcome) -> None:
        TOLD.append((self.name, outcome))
        if outcome.quantity > 0:
            self.factor *= 0.9


class Broken(FFNBlockAgent):
    """Raises in the second round."""

    def after(self, outcome: UnitOutcome) -> None:
        if outcome.round == 2:
            raise ZeroDivisionError("no use")


def test_agents_are_told_what_they_got_and_learn_from_it(floor: Any) -> None:
    market: ComputeMarket = floor.market(floor.rising(), budgets=[0.8, 0.6], agents={"head": Cautious})
    heads = [agent for agent in market.agents if isinstance(agent, Cautious)]
    assert market.learners == heads
    for number in (1, 2):
        market.step()
        books, told = market.ledger, TOLD[-len(heads) :]
        for agent, (name, outcome) in zip(heads, told, strict=True):
            assert name == agent.name
            row = agent.row
            assert outcome == UnitOutcome(
                number, books.quantity[row], books.price[row], books.payment[row], books.surplus[row], books.value[row]
            )
    won = {agent.name: sum(o.quantity > 0 for name, o in TOLD if name == agent.name) for agent in heads}
    assert {agent.name: pytest.approx(0.9 ** won[agent.name]) for agent in heads} == {a.name: a.factor for a in heads}
    assert len(TOLD) == 2 * len(heads)  # agents that have left are told as well
    assert any(count < 2 for count in won.values())
    assert any(count for count in won.values())


def test_an_error_names_the_agents_class_and_ends_no_market_halfway(floor: Any) -> None:
    market: ComputeMarket = floor.market(floor.rising(), budgets=[0.8, 0.6], agents={"ffn": Broken})
    market.step()
    with pytest.raises(UserCodeError, match=r"agent Broken failed \(.*test_learning_agents.py, line .*no use"):
        market.step()
    assert market.round == len(market.economics) == 2
    market.step()  # the round was settled: nothing is left to play
    assert market.round == 2
    assert not market.running


def test_nobody_learns_without_an_after_of_its_own(floor: Any) -> None:
    assert floor.market(floor.rising()).learners == []
