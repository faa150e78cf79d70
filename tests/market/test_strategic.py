"""Agents that shade, learn and go bankrupt, on a real (tiny) network."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import pytest

from walras.agents import EXP3, BidderInfo, Fisher, Hedge, Mixture, RegretMatching, Shading, Strategy, Truthful
from walras.agents.strategies.strategy import Column
from walras.errors import UserCodeError
from walras.market import ComputeMarket
from walras.mechanisms import PayAsBidAuction, ShadowPrice

BUDGETS = [0.5] * 12


@pytest.mark.parametrize("learner", [Hedge(), EXP3(), RegretMatching()])
def test_learners_are_told_what_the_network_answers(floor: Any, learner: Any) -> None:
    market: ComputeMarket = floor.market(Fisher(), PayAsBidAuction(), BUDGETS, strategy=learner, reentry=True)
    heard: list[Column] = []
    after = type(market.strategy).after

    def listening(self: Any, outcome: Any, generator: np.random.Generator) -> Any:
        heard.append(outcome.value)
        assert outcome.pays_bid
        assert np.array_equal(outcome.quantity, market.ledger.quantity)
        return after(self, outcome, generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(market.strategy), "after", listening)
        for _ in range(4):
            market.step()
    assert len(heard) == 3
    assert np.array_equal(heard[-1], market.ledger.value)  # the values of the next round are the answer to the last
    assert market.strategy.score.any()  # type: ignore[attr-defined]  # of a learner


def test_a_step_that_failed_tells_learners_once(floor: Any) -> None:
    plain, shaken = (
        floor.market(floor.rising(), PayAsBidAuction(), BUDGETS, strategy=Hedge(), reentry=True) for _ in range(2)
    )
    for market in (plain, shaken):
        market.step()
    mend = shaken.on("clear", broken)
    with pytest.raises(UserCodeError, match=r"hook broken on 'clear' failed .*out of order"):
        shaken.step()
    mend()
    assert (shaken.round, shaken.regrets.rounds) == (1, 1)
    plain.step()
    shaken.on("played", broken)
    with pytest.raises(UserCodeError, match=r"hook broken on 'played' failed .*out of order"):
        shaken.step()
    assert (shaken.round, shaken.frame.equals(plain.frame)) == (2, True)
    assert shaken.regrets.rounds == plain.regrets.rounds == 1
    assert np.array_equal(shaken.strategy.score, plain.strategy.score)


def broken(*_: Any) -> None:
    raise RuntimeError("out of order")


@pytest.mark.nightly
def test_where_bids_are_paid_learners_come_to_pay_less_than_the_truthful(floor: Any) -> None:
    def paid(strategy: Strategy) -> float:
        market = floor.market(floor.rising(), PayAsBidAuction(), [0.5] * 40, strategy=strategy, reentry=True)
        for _ in market.remaining():
            market.step()
        return float(np.mean([r.revenue for r in market.rounds[-10:]]))

    assert paid(RegretMatching()) < 0.9 * paid(Truthful())


@final
@dataclass(frozen=True)
class Reckless(Strategy):
    """Bids ten times the value."""

    name: ClassVar[str] = "reckless"

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        return 10 * known.value


def test_the_bankrupt_leave_and_money_stays_conserved(floor: Any) -> None:
    mixed = Mixture((Truthful(), Reckless()), (0.5, 0.5))
    market = floor.market(floor.rising(), PayAsBidAuction(), [0.5] * 3, strategy=mixed, reentry=True)
    market.step()
    reckless, money = market.ledger.strategy == "reckless", market.ledger.money
    broke = market.ledger.wealth < 0
    assert broke.any()
    assert not broke[~reckless].any()
    market.step()
    assert (market.ledger.quantity[broke] == 0).all()
    assert (market.ledger.report[broke] == 0).all()
    assert market.ledger.money == money
    rich = floor.market(floor.rising(), PayAsBidAuction(), [0.5] * 3, strategy=mixed, reentry=True, endowment=1e6)
    rich.step()
    rich.step()
    assert (rich.ledger.wealth > 0).all()
    assert rich.ledger.quantity[rich.ledger.strategy == "reckless"].any()


def test_everybody_of_a_mixed_population_stands_in_the_books(floor: Any) -> None:
    market = floor.market(floor.rising(), ShadowPrice(), strategy=Mixture((Truthful(), Shading()), (0.75, 0.25)))
    assert sorted(market.ledger.strategy) == ["shading"] * 3 + ["truthful"] * 11  # of 3.5 and 10.5
    market.step()
    shaded = market.ledger.strategy == "shading"
    assert np.allclose(market.ledger.report[shaded], 0.8 * market.ledger.value[shaded])
