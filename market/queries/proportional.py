"""Budgets in proportion to thresholds: what queries are thought to need."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.market.queries.allocator import Allocator
from walras.market.queries.queries import Column, Queries
from walras.mechanisms.bids.threshold_bids import ThresholdBids


@final
@dataclass(frozen=True)
class Proportional(Allocator):
    """Every solvent query gets a share of the budget in proportion to its threshold, up to its cap."""

    name: ClassVar[str] = "proportional"

    def grant(self, queries: Queries, bids: ThresholdBids, budget: float) -> tuple[Column, float | None]:
        """Shares of the budget; with no limit, as much as helps."""
        if budget == np.inf:
            return np.where(queries.solvent, bids.demand(bids.threshold.new_zeros(1)).numpy(), 0.0), None
        need = np.where(queries.solvent, np.maximum(queries.threshold, 1.0), 0.0)
        limit = np.inf if queries.cap is None else queries.cap
        return np.minimum(budget * need / max(need.sum(), 1.0), limit), None
