"""The simplest baseline: the same for every query."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.market.queries.allocator import Allocator
from walras.market.queries.queries import Column, Queries
from walras.mechanisms.bids.threshold_bids import ThresholdBids


@final
@dataclass(frozen=True)
class Uniform(Allocator):
    """Every query that is not bad gets an equal share of the budget, up to its cap; what caps leave stays unspent."""

    name: ClassVar[str] = "uniform"

    def grant(self, queries: Queries, bids: ThresholdBids, budget: float) -> tuple[Column, float | None]:
        """Whole equal shares; with no limit, as much as helps."""
        share = np.floor(budget / max(int((~queries.bad).sum()), 1)) if budget < np.inf else _most(bids)
        limit = np.inf if queries.cap is None else queries.cap
        return np.where(queries.bad, 0.0, np.minimum(share, limit)), None


def _most(bids: ThresholdBids) -> Column:
    """All that helps [n]."""
    most: Column = np.where(bids.solvent.numpy(), bids.demand(bids.threshold.new_zeros(1)).numpy(), 0.0)
    return most
