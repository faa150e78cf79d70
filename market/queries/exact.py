"""The optimum for queries of one common shape, by its structure."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch

from walras.errors import RequirementError
from walras.market.queries.allocator import Allocator
from walras.market.queries.queries import Column, Queries
from walras.mechanisms.bids.gamma_surge import GammaBids
from walras.mechanisms.bids.threshold_bids import ThresholdBids


@final
@dataclass(frozen=True)
class Exact(Allocator):
    """The optimum for queries of one common shape is found by sorting: so many of the smallest thresholds are funded.

    max over k of F(k) = k * g(min((B - T_k) / k, 1 / beta)), T_k the sum of the k smallest thresholds.

    1. With one shape g, concave above the threshold, for all, utility depends on a funded set of k queries only through
       k and the sum of its thresholds: the k smallest are best, with equal headroom each.
    2. Sort, sum, and take the best k: O(n log n), no price and no search. The price is g'(headroom).

    CLEAR with rationing must reach the same optimum. The structure theorem is ours, not the paper's.
    """

    name: ClassVar[str] = "exact"

    def grant(self, queries: Queries, bids: ThresholdBids, budget: float) -> tuple[Column, float | None]:
        """Both steps."""
        threshold = queries.threshold
        own = torch.as_tensor(bids.alpha).numel() > 1 or torch.as_tensor(bids.beta).numel() > 1
        width = float(1 / torch.as_tensor(bids.beta).flatten()[0]) if len(queries) else 1.0
        capped = queries.cap is not None and (queries.cap < threshold + width)[queries.solvent].any()
        if (own and len(queries) > 1) or capped or isinstance(bids, GammaBids):
            raise RequirementError(
                "allocator exact needs one concave shape for all (weight, headroom), and caps above threshold + "
                "headroom; allocator clear takes any"
            )
        tokens = np.zeros(len(queries))
        order = np.argsort(np.where(queries.solvent, threshold, np.inf), kind="stable")[: int(queries.solvent.sum())]
        number = np.arange(1, len(order) + 1)
        room = np.minimum((budget - np.cumsum(threshold[order])) / number, width)
        fits = room >= 0
        if not fits.any():
            first = bids.reservation_price().max().item() if len(order) else 0.0
            return tokens, first
        level = bids.level(torch.from_numpy(room[fits] / width)).numpy()
        k = int((number[fits] * level).argmax())
        tokens[order[: k + 1]] = threshold[order[: k + 1]] + room[k]
        return tokens, float(bids.marginal_utility(torch.from_numpy(tokens))[order[0]])
