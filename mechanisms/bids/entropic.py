"""Entropic utility: the bidders whose market price is the log-partition function of softmax."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.smooth_bids import SmoothBids


@final
@dataclass(frozen=True)
class EntropicBids(SmoothBids):
    """Agents with utility(q) = score * q - T q ln q for q >= 0, score [..., n], temperature T > 0.

    The marginal utility score - T (ln q + 1) equals the price p at q = exp((score - p) / T - 1). With one unit
    of supply at unit cost the price is T (logsumexp(score / T) - 1) and the allocation is softmax(score / T).
    """

    def bought(self, gap: Tensor) -> Tensor:
        """Above 0 at every finite price."""
        return torch.exp(gap / self.temperature - 1)

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of a quantity [..., n]; 0 at 0."""
        bought = quantity > 0
        score, level = torch.where(bought, self.score, 0.0), torch.where(bought, quantity, 1.0)  # no NaN slope at 0
        return (score - self.temperature * level.log()) * quantity

    def reservation_price(self) -> Tensor:
        """Marginal utility is infinite at 0: every agent that may trade buys at any price [..., n]."""
        return torch.where(self.score > -torch.inf, torch.inf, -torch.inf).to(self.score.dtype)
