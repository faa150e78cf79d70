"""The bound for evaluations: what could be had if the need of every query were known."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.errors import InputError
from walras.market.queries.allocator import Allocator
from walras.market.queries.queries import Column, Queries
from walras.mechanisms.bids.threshold_bids import ThresholdBids


@final
@dataclass(frozen=True, eq=False)
class Oracle(Allocator):
    """Each query gets exactly what it truly needs (`need` [n], inf where nothing helps), the smallest need first.

    No allocation has more answers. Thresholds are not looked at, and no server knows `need` beforehand.
    """

    need: Column | None = None
    name: ClassVar[str] = "oracle"

    def grant(self, queries: Queries, bids: ThresholdBids, budget: float) -> tuple[Column, float | None]:
        """The longest prefix in ascending need that fits."""
        if self.need is None or len(self.need) != len(queries):
            raise InputError("allocator oracle needs the true need of every query: need=, one number per query")
        if (self.need < 0).any():
            raise InputError("allocator oracle needs needs of 0 tokens or more, inf where nothing helps")
        need = np.ceil(self.need)
        if queries.cap is not None:
            need = np.where(need > queries.cap, np.inf, need)
        order = np.argsort(need, kind="stable")
        fits = (np.cumsum(np.where(np.isfinite(need), need, 0.0)[order]) <= budget) & np.isfinite(need[order])
        tokens = np.zeros(len(queries))
        tokens[order[fits]] = need[order[fits]]
        return tokens, None
