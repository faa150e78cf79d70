"""Surge utility: the bidders whose market is CLEAR, token budgets for reasoning queries."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.threshold_bids import ThresholdBids
from walras.mechanisms.solvers.lambert import lambert_w


@final
@dataclass(frozen=True, eq=False)
class SurgeBids(ThresholdBids):
    """utility(q) = alpha y exp(-beta y) with y = q - tau up to its peak at y = 1 / beta, 0 below the threshold tau.

    Marginal utility alpha (1 - x) exp(-x), x = beta y, equals the price p at x = 1 - W(e p / alpha), W Lambert's
    function; surplus is 0 at x^2 = (1 - x) beta tau, which gives the reservation price alpha (1 - x) exp(-x).

    With `literal`, utility falls again beyond the peak, as the formula does; without it what is too much stays unused.
    Demand is the same.

    Reconstructed, not read: the shape is inferred from what is known of "The Shadow Price of Reasoning" (arXiv
    2606.03092), whose equations were not at hand.
    """

    literal: bool = False

    def level(self, headroom: Tensor) -> Tensor:
        """x exp(1 - x)."""
        return headroom * torch.exp(1 - headroom)

    def best_headroom(self, slope: Tensor) -> Tensor:
        """1 - W(slope), 0 from a slope of e on."""
        return 1 - lambert_w(slope.clamp(max=torch.e))

    def tangent(self, offset: Tensor) -> Tensor:
        """The root of x^2 = (1 - x) offset between 0 and 1, in the form that does not cancel."""
        root = (offset.square() + 4 * offset).sqrt()
        return torch.where(offset > 0, 2 * offset / (offset + root), 0.0)

    def utility(self, quantity: Tensor) -> Tensor:
        """As the class says."""
        if not self.literal:
            return super().utility(quantity)
        x = torch.as_tensor(self.beta) * (torch.minimum(quantity, torch.as_tensor(self.cap)) - self._start)
        return torch.where(self.solvent & (x > 0), self.peak * self.level(x.clamp(min=0.0)), 0.0)
