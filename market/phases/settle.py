"""The ledger books the outcome of a round."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import torch

from walras.agents import UnitOutcome
from walras.market.economics import Economics, economics
from walras.market.naming import naming
from walras.market.phases.phase import Phase, Turn
from walras.market.round import Round

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class Settle(Phase):
    """The outcome becomes the gates, the ledger books income and payments, and the tables get the round's row."""

    name: ClassVar[str] = "settle"
    done: ClassVar[str] = "settled"

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """Units that were not funded leave, where none may come back, and so do those whose wealth is below 0.

        Agents of classes that learn are told last what they got.
        """
        _, clearing = turn.outcome
        market.ledger.settle(turn.report, turn.quantity, turn.price, turn.payment, turn.trading)
        market.clearing = replace(  # of all units, those that do not bid included
            clearing, quantity=torch.from_numpy(turn.quantity), payment=torch.from_numpy(turn.payment)
        )
        if not market.reentry:
            market.may_bid &= (turn.quantity > 0) | ~turn.trading
        market.may_bid &= market.ledger.wealth >= 0
        played = Round.from_turn(market, turn)
        found = _economics(market, turn, [*(before.price for before in market.rounds), played.price])
        market.rounds.append(played)  # both tables get their row, or none does
        market.economics.append(found)
        market.datacollector.collect(market)
        tell_agents(market, turn.number)
        return turn


def tell_agents(market: "ComputeMarket", number: int) -> None:
    """Tell agents of classes with an `after` of their own what round `number` brought them.

    Raises:
        UserCodeError: it raised an error; the message names the class.
    """
    books = market.ledger
    for agent in market.learners:
        found = (books.quantity, books.price, books.payment, books.surplus, books.value)
        outcome = UnitOutcome(number, *(float(column[agent.row]) for column in found))
        with naming(f"agent {type(agent).__name__}", agent):
            agent.after(outcome)


def _economics(market: "ComputeMarket", turn: Turn, prices: list[float]) -> Economics:
    """The economist's figures of the round that was booked last, from its price and those before it."""
    for_sale = max(turn.session.budget - market.supply.used(turn.settled)[0], 0.0)
    return economics(market.ledger, turn.bidding, for_sale, prices, market.regrets, turn.deviation_gain)
