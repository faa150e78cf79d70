"""Logistic demand: the bidders whose quantity is the chance of saying yes to a price."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.bounds import as_values, check_temperature
from walras.mechanisms.traits import CONCAVE, SEPARABLE


@final
@dataclass(frozen=True)
class LogisticBids:
    """Agents with utility(q) = score * q - T (q ln q + (1 - q) ln (1 - q)) for 0 <= q <= 1, score [..., n], T > 0.

    The marginal utility score - T ln (q / (1 - q)) equals the price p at q = sigmoid((score - p) / T): the binary
    logit of discrete choice (McFadden 1974). As T falls to 0 the agents become indivisible ones.
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
        """Quantity [..., n] at which marginal utility equals the price; above 0 at every finite price."""
        del stay  # demand is positive at every finite price
        trades = (price < torch.inf) & (self.score > -torch.inf)
        gap = torch.where(trades, self.score, 0.0) - torch.where(trades, price, 0.0)
        return torch.where(trades, (gap / self.temperature).sigmoid(), 0.0)

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
