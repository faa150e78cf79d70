"""A population some of whose agents may not trade."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.interface import Bids, before_of


@final
@dataclass(frozen=True)
class Excluding:
    """The same bids without the agents of `out` (bool [..., n]), which may add leading dimensions: other markets."""

    bids: Bids
    out: Tensor

    @property
    def traits(self) -> frozenset[str]:
        """Those of the whole population."""
        return self.bids.traits

    @property
    def before(self) -> Tensor | None:
        """Who is served first, as in the whole population."""
        return before_of(self.bids)

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """As in the whole population; 0 for agents that are out."""
        return self.bids.demand(torch.where(self.out, torch.inf, price), stay)

    def utility(self, quantity: Tensor) -> Tensor:
        """As in the whole population."""
        return self.bids.utility(quantity)

    def reservation_price(self) -> Tensor:
        """As in the whole population; -inf for agents that are out [..., n]."""
        return torch.where(self.out, -torch.inf, self.bids.reservation_price())
