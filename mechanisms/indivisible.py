"""All or nothing: attention heads and FFN blocks, which are kept or dropped."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids import as_values
from walras.mechanisms.traits import INDIVISIBLE, SEPARABLE


@final
@dataclass(frozen=True)
class IndivisibleBids:
    """Agents that want one whole unit, worth `value` [..., n]: utility(q) = value * q for q in {0, 1}."""

    value: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", as_values("value", self.value))

    @property
    def traits(self) -> frozenset[str]:
        """Levels are 0 and 1; no agent's utility depends on another's."""
        return frozenset({INDIVISIBLE, SEPARABLE})

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """1 where the price is at most the value, or where the agent stays and is not excluded."""
        buys = self.value >= price
        if stay is not None:
            buys = buys | (stay & (price < torch.inf))
        return buys.to(self.value.dtype)

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of what is bought [..., n]."""
        return torch.where(quantity > 0, self.value * quantity, 0.0)

    def reservation_price(self) -> Tensor:
        """The value itself [..., n]."""
        return self.value
