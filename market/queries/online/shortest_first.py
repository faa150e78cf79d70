"""Shortest job first, for queries that come one at a time."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
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
        recent = sorted(min(threshold + seen.headroom, cap) for threshold, _, cap in seen.recent_helped())
        if recent:  # plain numbers: a thousand queries as a tensor take longer than all the rest
            fits = bisect_right(list(accumulate(recent)), seen.share * len(recent))
            longest = recent[max(fits, 1) - 1] * (1 + 1e-12)  # its like are not longer by rounding
            need = need.where(need <= longest, need.new_zeros(()))
        found: list[float] = need.tolist()
        return found
