"""Populations whose demand moves smoothly with how far the price lies below each agent's score."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from walras.mechanisms.bids.bounds import as_values, check_temperature
from walras.mechanisms.traits import CONCAVE, SEPARABLE


@dataclass(frozen=True)
class SmoothBids(ABC):
    """Agents with utility(q) = score * q + T h(q), score [..., n], temperature T > 0, h concave.

    Marginal utility equals the price p at a quantity that depends on score - p alone. Concrete ones are final frozen
    dataclasses that say which one it is, what a quantity is worth, and from which price on nothing is bought.
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
        """Quantity [..., n] at which marginal utility equals the price; 0 from the reservation price upwards."""
        del stay  # downsizing is continuous: the best quantity of one that stays tends to 0 as well
        trades = (price < torch.inf) & (self.score > -torch.inf)
        gap = torch.where(trades, self.score, 0.0) - torch.where(trades, price, 0.0)
        return torch.where(trades, self.bought(gap), 0.0)

    @abstractmethod
    def bought(self, gap: Tensor) -> Tensor:
        """Quantity [..., n] whose marginal utility is the price, from score less price [..., n], which is finite."""

    @abstractmethod
    def utility(self, quantity: Tensor) -> Tensor:
        """Value of a quantity [..., n]; 0 at 0."""

    @abstractmethod
    def reservation_price(self) -> Tensor:
        """Marginal utility at 0 [..., n]."""
