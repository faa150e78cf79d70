"""The interface of every rule that grants tokens to queries as they come."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import e
from typing import ClassVar, final

import torch

from walras.market.queries.limits import MOST_TOKENS
from walras.mechanisms.bids.surge import SurgeBids

REMEMBERED = 1000
"""Queries that a market remembers at most."""


@final
@dataclass
class Seen:
    """What a market has seen so far, and what a rule may base its grants on.

    Attributes:
        share: tokens that a query gets where all get the same: budget / queries expected in a window.
        headroom: tokens above its threshold at which more no longer helps a query.
        step: by which prices move: 1 / sqrt(queries expected in a window, or of `recent`, if those are more), unless
            the market was given another.
        window: number of the present window.
        left: tokens that are left in it.
        price: per token; None as long as there is none.
        priced: number of the window that a price was found for, of rules that keep one for a window.
        recent: threshold, weight and cap of the queries that came last, the present ones not among them.
    """

    share: float
    headroom: float
    step: float
    window: int = 0
    left: float = 0.0
    price: float | None = None
    priced: int | None = None
    recent: "deque[tuple[float, float, float]]" = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def recent_helped(self) -> list[tuple[float, float, float]]:
        """Threshold, weight and cap of the recent queries that tokens help."""
        return [row for row in self.recent if row[0] < row[2] and row[0] <= MOST_TOKENS]

    def recent_bids(self) -> SurgeBids:
        """What they would bid now [n]."""
        return surge_bids(self.recent_helped(), self.headroom)


def surge_bids(queries: Sequence[tuple[float, float, float]], headroom: float) -> SurgeBids:
    """The bids [n] of queries by threshold, weight and cap, whose utility is largest a headroom above the threshold."""
    threshold, weight, cap = torch.tensor(list(queries), dtype=torch.float64).reshape(-1, 3).unbind(-1)
    return SurgeBids(threshold, e * weight / headroom, 1 / headroom, cap)


@dataclass(frozen=True)
class OnlinePolicy(ABC):
    """A policy says how many tokens queries want that come together; the market grants what the window has left of it.

    Concrete ones are final frozen dataclasses with a `name` and `wanted`; what they learn goes into `Seen`. `informed`
    says whether a policy looks at thresholds: then a grant that does not exceed its query's is worth nothing, and not
    made. `source` says where a policy is published.
    """

    name: ClassVar[str]
    source: ClassVar[str] = ""
    informed: ClassVar[bool] = True

    @abstractmethod
    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """Tokens [n], real numbers of at least 0, for queries that come together."""

    def moved(self, seen: Seen, tokens: float) -> None:
        """Tokens were asked for beyond what the window had for that time, or fewer (below 0): the price may move."""
        del seen, tokens
