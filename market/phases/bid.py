"""Strategies and agents report what their units are worth to them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import torch

from walras.agents import BidderInfo, RoundOutcome, Strategy, UnitAgent
from walras.errors import InputError
from walras.market.ledger import Column
from walras.market.naming import naming
from walras.market.phases.phase import Phase, Turn
from walras.mechanisms.bids.bounds import largest

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

MOST = largest(torch.float64)
"""The highest report for which every rule finds a price."""


@final
@dataclass(frozen=True)
class Bid(Phase):
    """Strategies learn how the last round went, and agents then report what their units are worth to them."""

    name: ClassVar[str] = "bid"
    done: ClassVar[str] = "reported"

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """Reports [n]; 0 for units that do not bid."""
        learn(market, turn.value)
        supply = turn.session.budget - market.supply.used(turn.settled)[0]
        return replace(turn, report=np.where(turn.bidding, reports(market, supply), 0.0))


def begun(strategy: Strategy, agents: int, generator: np.random.Generator) -> Strategy:
    """The strategy of so many agents before their first round."""
    with naming(f"strategy {strategy.name}", strategy):
        return _checked(strategy.begun(agents, generator))


def learn(market: "ComputeMarket", value: Column) -> None:
    """Tell strategies what the last round brought, given what units are worth [n] now that it has been cleared.

    Once per round: a step that failed afterwards may be called again.
    """
    if market.regrets.rounds == market.round:
        return
    books = market.ledger
    outcome = RoundOutcome(value, books.report, books.quantity, books.price, books.payment, market.mechanism.pays_bid)
    with naming(f"strategy {market.strategy.name}", market.strategy):
        strategy = _checked(market.strategy.after(outcome, market.rng))
    market.strategy, market.regrets = strategy, market.regrets.after(outcome)


def reports(market: "ComputeMarket", supply: float) -> Column:
    """Reports [n]: the strategy's for all agents at once, then those of agents that bid for themselves.

    Args:
        market: its ledger holds this round's values.
        supply: of the leading resource, for those that bid.

    Raises:
        InputError: reports of another shape, or one that is not finite.
        UserCodeError: a strategy or an agent of the user's own raised an error.
    """
    ledger, strategy = market.ledger, market.strategy
    info = BidderInfo(  # of copies: the ledger is not the strategy's to write
        value=ledger.value.copy(),
        cost=ledger.cost.copy(),
        wealth=ledger.wealth,
        quantity=ledger.quantity.copy(),
        price=ledger.price.copy(),
        supply=supply,
    )
    with naming(f"strategy {strategy.name}", strategy):
        report = np.array(strategy.bid(info, market.rng), dtype=np.float64)
        if report.shape != (len(ledger),):
            what = f"strategy {strategy.name!r} returned reports of shape {report.shape}"
            raise InputError(f"{what} for {len(ledger)} units")
    for agent in market.own_bidders:
        report[agent.row] = _own_bid(agent)
    sound = np.isfinite(report) & (report <= MOST)
    if not sound.all():
        bad = int(np.flatnonzero(~sound)[0])
        whose = f"{ledger.name[bad]} ({ledger.strategy[bad]})"
        raise InputError(f"{whose} bids {report[bad]}; bids must be finite, and at most {MOST:.3g}")
    return report


def _checked(strategy: object) -> Strategy:
    """What a strategy hands on."""
    if not isinstance(strategy, Strategy):
        raise InputError(f"it handed on {strategy!r}; it must be a Strategy")
    return strategy


def _own_bid(agent: UnitAgent) -> float:
    """What an agent bids for itself."""
    with naming(f"agent {type(agent).__name__}", agent):
        bid = agent.bid()
    try:
        return float(bid)
    except (TypeError, ValueError) as error:
        raise InputError(f"{agent.name} ({type(agent).__name__}) bids {bid!r}; bids must be numbers") from error
