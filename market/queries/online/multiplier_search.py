"""A Lagrange multiplier found by bisection on past queries, and answers of a few sizes."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.market.queries.online.clear import opening_price
from walras.market.queries.online.policy import OnlinePolicy, Seen
from walras.mechanisms.bids.surge import SurgeBids

_SIZES = 2.0 ** torch.arange(5, 18, dtype=torch.float64)  # tokens: 32 to 131,072
_HALVINGS = 60


@final
@dataclass(frozen=True)
class MultiplierSearchPolicy(OnlinePolicy):
    """Each query gets the size of answer with the largest utility less multiplier times tokens.

    1. The multiplier is the smallest at which recent queries would spend no more than an equal share each, found by
       bisection whenever a window begins; within a window it stays.
    2. Sizes are powers of 2, and none: the paper chooses among a few numbers of tokens.

    A reading of arXiv 2604.14853 (Lagrangian prices, binary search), as far as it is described: its classifier of
    queries is whatever gives the thresholds here.
    """

    name: ClassVar[str] = "multiplier-search"
    source: ClassVar[str] = "arXiv 2604.14853 (reconstructed)"

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """Step 2, after step 1 where a window has begun."""
        if seen.price is None or seen.priced != seen.window:
            before = seen.recent_bids()
            if before.solvent.any():
                seen.price, seen.priced = multiplier(before, seen.share), seen.window
            elif seen.price is None and bids.solvent.any():
                seen.price = opening_price(bids, seen.share)
        found: list[float] = best_size(bids, seen.price or 0.0).tolist()
        return found


def best_size(bids: SurgeBids, price: float) -> Tensor:
    """The size [n] with the largest utility less price times tokens; the smallest of equals, 0 being one."""
    sizes = torch.cat((torch.zeros(1, dtype=torch.float64), _SIZES))
    quantity = sizes[:, None].expand(-1, len(bids.threshold)).minimum(torch.as_tensor(bids.cap))  # [sizes, n]
    gain = bids.utility(quantity) - price * quantity
    return quantity.gather(0, gain.argmax(0, keepdim=True))[0]


def multiplier(bids: SurgeBids, share: float) -> float:
    """The smallest multiplier at which queries spend no more than a share each on average, by bisection."""
    low, high = 0.0, float(bids.reservation_price()[bids.solvent].max()) * 2
    if float(best_size(bids, low).mean()) <= share:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if float(best_size(bids, middle).mean()) <= share else (middle, high)
    return high
