"""CLEAR for queries that come as they like: dual mirror descent on the price."""

from dataclasses import dataclass
from math import exp, log
from typing import ClassVar, final

import torch

from walras.market.queries.online.policy import OnlinePolicy, Seen
from walras.mechanisms.bids.surge import SurgeBids

_BOUND = log(1e9)  # a jump of one huge query must not end in 0 or infinity


@final
@dataclass(frozen=True)
class ClearPolicy(OnlinePolicy):
    """Each query buys what is best for it at a price, which rises with what is granted and falls with what flows in.

    1. The first query meets the price at which it alone would ask for an equal share, rho.
    2. Each buys what is best for it at the price, as in the batch.
    3. Then the price moves: price <- price * exp(step * (granted - rho) / rho), mirror descent on the dual with the
       entropy as its mirror map (Balseiro, Lu and Mirrokni 2020, "Dual mirror descent for online allocation problems",
       section 4). Where windows are of time, rho flows in with time instead of with queries.

    Online clearing by this rule is ours; the paper clears batches.
    """

    name: ClassVar[str] = "clear"
    source: ClassVar[str] = "Balseiro, Lu and Mirrokni 2020, on the bids of arXiv 2606.03092"

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """Steps 1 and 2."""
        if seen.price is None and bids.solvent.any():
            seen.price = opening_price(bids, seen.share)
        price = torch.full((1,), seen.price or 0.0, dtype=torch.float64)
        found: list[float] = bids.demand(price).tolist()
        return found

    def moved(self, seen: Seen, tokens: float) -> None:
        """Step 3."""
        if seen.price is not None and tokens:
            move = seen.step * tokens / seen.share
            seen.price *= exp(min(max(move, -_BOUND), _BOUND))
            seen.price = min(max(seen.price, 1e-100), 1e100)


def opening_price(bids: SurgeBids, share: float) -> float:
    """The price at which the mean of some queries would ask for a share, below what any of them would pay."""
    solvent = bids.solvent
    beta = float(torch.as_tensor(bids.beta).reshape(-1)[0])
    x = min(max((share - float(bids.threshold[solvent].mean())) * beta, 0.0), 1.0)
    alpha = torch.as_tensor(bids.alpha).expand_as(bids.threshold)
    lowest = float(bids.reservation_price()[solvent].min())
    slope = float(alpha[solvent].mean()) * (1 - x) * exp(-x)
    return max(min(slope, lowest), 1e-6 * lowest)
