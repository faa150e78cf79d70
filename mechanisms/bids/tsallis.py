"""Tsallis utility: the bidders whose market price is the threshold of alpha-entmax."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.bounds import BLUNTEST, SHARPEST
from walras.mechanisms.bids.smooth_bids import SmoothBids


@final
@dataclass(frozen=True)
class TsallisBids(SmoothBids):
    """Agents with utility(q) = score * q + T (q - q^a) / (a (a - 1)) for q >= 0, score [..., n], T > 0, a > 1.

    The marginal utility score + T (1 - a q^(a - 1)) / (a (a - 1)) equals the price p at

        q = max((a - 1) (score - p) / T + 1 / a, 0)^(1 / (a - 1)).

    With one unit of supply at unit cost the allocation is a-entmax(score / T) (Peters, Niculae and Martins 2019,
    arXiv 1905.05702, eq. 10 and proposition 1). As a falls to 1 these become entropic bids; those of a = 2 are
    quadratic ones with T / 2 added to every score.
    """

    alpha: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not SHARPEST <= self.alpha <= BLUNTEST:
            raise InputError(
                f"alpha is {self.alpha}; it must be a number from {SHARPEST:.8g} to {BLUNTEST:g} (EntropicBids are the "
                "limit at 1)"
            )

    def bought(self, gap: Tensor) -> Tensor:
        """0 from the reservation price upwards."""
        power = (self.alpha - 1) * gap / self.temperature + 1 / self.alpha
        buys = power > 0
        return torch.where(buys, torch.where(buys, power, 1.0) ** (1 / (self.alpha - 1)), 0.0)  # no NaN slope at 0

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of a quantity [..., n]; 0 at 0."""
        score = torch.where(quantity > 0, self.score, 0.0)
        return score * quantity + self._slope() * (quantity - quantity**self.alpha)

    def reservation_price(self) -> Tensor:
        """Marginal utility at 0: score + T / (a (a - 1)), [..., n]."""
        return self.score + self._slope()

    def _slope(self) -> float | Tensor:
        return self.temperature / (self.alpha * (self.alpha - 1))
