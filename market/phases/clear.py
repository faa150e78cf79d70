"""The mechanism clears the reports of a round."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import torch

from walras.errors import ConformanceError
from walras.market.phases.phase import Phase, Turn
from walras.mechanisms import IndivisibleBids, Mechanism, charge

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class Clear(Phase):
    """The mechanism clears the reports against the supply, and learns from the outcome; it sees nothing else."""

    name: ClassVar[str] = "clear"
    done: ClassVar[str] = "cleared"

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """Quantities, prices and payments [n] of all units, those that do not bid included."""
        offer = market.supply.offer(turn.session.budgets, turn.report, turn.bidding, turn.settled)
        if market.supply.chained:
            market.ledger.cost = market.supply.own(offer.cost)
        bidders = np.flatnonzero(turn.bidding)
        bids = IndivisibleBids(torch.from_numpy(turn.report[bidders]), offer.before)
        cost = offer.cost[bidders]
        clearing = turn.mechanism(bids, offer.supply, cost).detached()
        rule = turn.mechanism.after(bids, offer.supply, cost, clearing)
        if not isinstance(rule, Mechanism):
            raise ConformanceError(f"{type(turn.mechanism).__name__}.after returned {rule!r}, not a Mechanism")
        market.mechanism = rule
        quantity, payment = np.zeros(len(turn.bidding)), np.zeros(len(turn.bidding))
        quantity[bidders], payment[bidders] = clearing.quantity.numpy(), clearing.payment.numpy()
        return replace(
            turn,
            offer=offer,
            clearing=clearing,
            quantity=np.where(turn.trading, quantity, turn.before),
            price=charge(offer.cost, clearing.price).numpy(),
            payment=np.where(turn.trading, payment, 0.0),
        )
