"""Logistic demand: the bidders whose quantity is the chance of saying yes to a price."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.smooth_bids import SmoothBids


@final
@dataclass(frozen=True)
class LogisticBids(SmoothBids):
    """Agents with utility(q) = score * q - T (q ln q + (1 - q) ln (1 - q)) for 0 <= q <= 1, score [..., n], T > 0.

    The marginal utility score - T ln (q / (1 - q)) equals the price p at q = sigmoid((score - p) / T): the binary
    logit of discrete choice (McFadden 1974). As T falls to 0 the agents become indivisible ones.
    """

    def bought(self, gap: Tensor) -> Tensor:
        """Above 0 at every finite price."""
        return (gap / self.temperature).sigmoid()

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of a quantity [..., n]; 0 at 0. More than 1 is worth as much as 1."""
        level = quantity.clamp(max=1.0)
        score = torch.where(level > 0, self.score, 0.0)
        inside = (level > 0) & (level < 1)
        mixed = torch.where(inside, level, 0.5)  # no NaN slope at the ends
        entropy = torch.where(inside, -(mixed * mixed.log() + (1 - mixed) * (1 - mixed).log()), 0.0)
        return score * level + self.temperature * entropy

    def reservation_price(self) -> Tensor:
        """Marginal utility is infinite at 0: every agent that may trade buys at any price [..., n]."""
        return torch.where(self.score > -torch.inf, torch.inf, -torch.inf).to(self.score.dtype)
