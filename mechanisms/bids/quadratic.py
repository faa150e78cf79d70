"""Quadratic utility: the bidders whose market price is the threshold of sparsemax."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.smooth_bids import SmoothBids


@final
@dataclass(frozen=True)
class QuadraticBids(SmoothBids):
    """Agents with utility(q) = score * q - T q^2 / 2 for q >= 0, score [..., n], temperature T > 0.

    The marginal utility score - T q equals the price p at q = max(score - p, 0) / T. With one unit of supply at
    unit cost the allocation is sparsemax(score / T) (Martins and Astudillo 2016, arXiv 1602.02068).
    """

    def bought(self, gap: Tensor) -> Tensor:
        """0 from the score upwards."""
        return gap.clamp(min=0) / self.temperature

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of a quantity [..., n]; 0 at 0."""
        score = torch.where(quantity > 0, self.score, 0.0)
        return score * quantity - self.temperature * quantity.square() / 2

    def reservation_price(self) -> Tensor:
        """Marginal utility at 0: the score [..., n]."""
        return self.score
