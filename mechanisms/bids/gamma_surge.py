"""Gamma surge: the chance that an answer is done, where the tokens that it needs are gamma distributed."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.mechanisms.bids.threshold_bids import ThresholdBids

_STEPS = 12


@final
@dataclass(frozen=True, eq=False)
class GammaBids(ThresholdBids):
    """utility(q) = peak * (1 - (1 + x) exp(-x)) with x = beta (q - tau) above the threshold tau.

    The bracket is the distribution function of a gamma variable of shape 2: tokens needed beyond tau, 2 / beta on
    average. Utility is convex up to x = 1 and concave above, so that demand lies above 1: the slope x exp(-x) equals
    s at x = -W_{-1}(-s). It never peaks; beyond x = 24 less than 1e-9 of it is missing, and counted as nothing.
    Form and name are ours; "The Shadow Price of Reasoning" has surges of which this may be the integral.
    """

    satiation: ClassVar[float] = 24.0

    def level(self, headroom: Tensor) -> Tensor:
        """Distribution function of a gamma variable of shape 2 and rate 1."""
        return -torch.expm1(-headroom) - headroom * torch.exp(-headroom)

    def best_headroom(self, slope: Tensor) -> Tensor:
        """The root x >= 1 of x exp(-x) = slope, by Newton's method on x - ln x = -ln slope; 1 from 1 / e on."""
        goal = -slope.clamp(1e-12, 1 / torch.e).log()  # 1 or more
        x = goal + (2 * (goal - 1).clamp(min=0.0)).sqrt()  # above the root, from where Newton's steps fall towards it
        for _ in range(_STEPS):
            x = (x - (x - x.log() - goal) / (1 - 1 / x).clamp(min=1e-9)).clamp(min=1.0)
        return x.clamp(max=self.satiation)

    def tangent(self, offset: Tensor) -> Tensor:
        """The root x > 1 of exp(x) = 1 + x + (offset + x) x, by Newton's method on its logarithm from above."""
        x = 2 + 2 * torch.log1p(offset)
        for _ in range(_STEPS):
            right = 1 + x + (offset + x) * x
            x = x - (x - right.log()) / (1 - (1 + offset + 2 * x) / right)
        return x.clamp(1.0, self.satiation)

    @property
    def first_slope(self) -> float:
        """Never asked for: the tangent touches above 1."""
        return 0.0
