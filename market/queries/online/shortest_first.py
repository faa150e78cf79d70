"""Shortest job first, for queries that come one at a time."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from walras.market.queries.online.policy import OnlinePolicy, Seen
from walras.mechanisms.bids.surge import SurgeBids


@final
@dataclass(frozen=True)
class ShortestFirstPolicy(OnlinePolicy):
    """Queries get threshold + headroom, if they need no more than the longest that a budget of short ones has room for.

    1. Sort the needs of recent queries, each threshold + headroom, up to its cap.
    2. The longest need is the one up to which they sum to the budget's share: tokens that as many queries may expect.
    3. A query that needs more gets nothing.

    In a batch the rule would sort the queries themselves; here those before them stand for them.
    """

    name: ClassVar[str] = "shortest-first"

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """The whole need, or nothing."""
        need = bids.demand(torch.zeros(1, dtype=torch.float64))
        before = seen.recent_bids()
        if before.solvent.any():
            recent = before.demand(torch.zeros(1, dtype=torch.float64)).sort().values
            fits = recent.cumsum(0) <= seen.share * len(recent)
            longest = float(recent[fits][-1]) if fits.any() else float(recent[0])
            need = need.where(need <= longest, need.new_zeros(()))
        found: list[float] = need.tolist()
        return found
