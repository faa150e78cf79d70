"""Quadratic utility: the bidders whose market price is the threshold of sparsemax."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.bounds import as_values, check_temperature
from walras.mechanisms.traits import CONCAVE, SEPARABLE


@final
@dataclass(frozen=True)
class QuadraticBids:
    """Agents with utility(q) = score * q - T q^2 / 2 for q >= 0, score [..., n], temperature T > 0.

    The marginal utility score - T q equals the price p at q = max(score - p, 0) / T. With one unit of supply at
    unit cost the allocation is sparsemax(score / T) (Martins and Astudillo 2016, arXiv 1602.02068).
    """

    score: Tensor
    temperature: float | Tensor = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", as_values("score", self.score))
        check_temperature(self.temperature, self.score)

    @property
    def traits(self) -> frozenset[str]:
        """Concave; no agent's utility depends on another's."""
        return frozenset({CONCAVE, SEPARABLE})

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """Quantity [..., n] at which marginal utility equals the price; 0 from the score upwards."""
        del stay  # downsizing is continuous: the best quantity of one that stays tends to 0 as well
        trades = (price < torch.inf) & (self.score > -torch.inf)
        gap = torch.where(trades, self.score, 0.0) - torch.where(trades, price, 0.0)
        return torch.where(trades, gap.clamp(min=0) / self.temperature, 0.0)

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of a quantity [..., n]; 0 at 0."""
        score = torch.where(quantity > 0, self.score, 0.0)
        return score * quantity - self.temperature * quantity.square() / 2

    def reservation_price(self) -> Tensor:
        """Marginal utility at 0: the score [..., n]."""
        return self.score
