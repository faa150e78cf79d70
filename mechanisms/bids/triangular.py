"""Triangular utility: a surge whose every token up to the peak is worth the same."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.threshold_bids import ThresholdBids


@final
@dataclass(frozen=True, eq=False)
class TriangularBids(ThresholdBids):
    """utility(q) = peak * x with x = beta (q - tau) from 0 to 1: a variant of the surge with its peak and width.

    Demand is all or nothing: tau + 1 / beta up to a price of peak / (tau + 1 / beta). One of Table 3's variants in "The
    Shadow Price of Reasoning", reconstructed.
    """

    def level(self, headroom: Tensor) -> Tensor:
        """Rises in a line."""
        return headroom

    def best_headroom(self, slope: Tensor) -> Tensor:
        """1 up to a slope of 1."""
        return (slope <= 1).to(slope.dtype)

    def tangent(self, offset: Tensor) -> Tensor:
        """The peak."""
        return torch.ones_like(offset)

    @property
    def first_slope(self) -> float:
        """Of the line."""
        return 1.0
