"""Shortest job first."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.market.queries.allocator import Allocator
from walras.market.queries.queries import Column, Queries
from walras.mechanisms.bids.threshold_bids import ThresholdBids


@final
@dataclass(frozen=True)
class ShortestFirst(Allocator):
    """Queries get threshold + headroom each, in ascending order of thresholds, while that fits the budget.

    Ties go to the earlier query. The baseline that CLEAR must be measured against: any utility of one common shape
    funds the shortest first, and differs from this rule in the headroom only.
    """

    name: ClassVar[str] = "shortest-first"

    def grant(self, queries: Queries, bids: ThresholdBids, budget: float) -> tuple[Column, float | None]:
        """Full demand of the longest prefix."""
        wanted = bids.demand(bids.threshold.new_zeros(1)).numpy()
        order = np.argsort(np.where(queries.solvent, queries.threshold, np.inf), kind="stable")
        fits = (np.cumsum(wanted[order]) <= budget) & queries.solvent[order]
        tokens = np.zeros(len(queries))
        tokens[order[fits]] = wanted[order[fits]]
        return tokens, None
