"""Quadratic surge: marginal utility falls in a line from the threshold to the peak."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.threshold_bids import ThresholdBids


@final
@dataclass(frozen=True, eq=False)
class QuadraticSurgeBids(ThresholdBids):
    """utility(q) = peak * x (2 - x), x = beta (q - tau) from 0 to 1: a variant of the surge with its peak and width.

    Demand is at x = 1 - slope / 2. One of Table 3's variants in "The Shadow Price of Reasoning", reconstructed.
    """

    def level(self, headroom: Tensor) -> Tensor:
        """A parabola with its peak at 1."""
        return headroom * (2 - headroom)

    def best_headroom(self, slope: Tensor) -> Tensor:
        """Where 2 - 2 x is the slope."""
        return (1 - slope / 2).clamp(min=0.0)

    def tangent(self, offset: Tensor) -> Tensor:
        """The root of x^2 + 2 x offset = 2 offset between 0 and 1, in the form that does not cancel."""
        root = (offset.square() + 2 * offset).sqrt()
        return torch.where(offset > 0, 2 * offset / (offset + root), 0.0)

    @property
    def first_slope(self) -> float:
        """Of the parabola at 0."""
        return 2.0
