"""The formula of Reddy et al. 2025 as it is printed, which does nothing."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import Bids, EntropicBids, Mechanism, ShadowPrice
from walras.models.attention.rule import AttentionRule, Setting, masked_softmax


@final
@dataclass(frozen=True)
class Literal(AttentionRule):
    """softmax(score - price) (Reddy et al. 2025, arXiv 2508.10426, eq. 3).

    The same price is taken from every score, so exp(-price) cancels: the weights are softmax(score) at any price. A
    tax on a budget that is always spent in full is a lump sum. `NullKey` is the form that works.
    """

    price: Setting

    def __post_init__(self) -> None:
        if not -torch.inf < self.price < torch.inf:
            raise InputError(f"price is {float(self.price)}; it must be a number")

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`."""
        return masked_softmax(scores - self.price)

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Entropic bidders, each taxed alike, for one unit."""
        return ShadowPrice(price_floor=-torch.inf), EntropicBids(scores - self.price), 1.0
