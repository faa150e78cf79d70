"""A posted price on softmax's weights: what is worth less is dropped."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import Bids, Mechanism, PostedPrice, QuadraticBids
from walras.models.attention.rule import AttentionRule, Setting, masked_softmax


@final
@dataclass(frozen=True)
class Threshold(AttentionRule):
    """max(softmax(score) - price, 0), renormalised: the proximal map of an L1 tax on the weights, after softmax.

    A row that would lose all keeps its best key, the first of equal ones. `budget.price_for_support` finds the price
    of a given support.
    """

    price: Setting

    def __post_init__(self) -> None:
        if not 0 <= self.price < torch.inf:
            raise InputError(f"price is {float(self.price)}; it must be a number of at least 0")

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`."""
        return self.settle(scores, (masked_softmax(scores) - self.price).clamp(min=0))

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Quadratic bidders, worth their softmax weights, at a posted price; they never want more than one unit."""
        weights = masked_softmax(scores).masked_fill(scores == -torch.inf, -torch.inf)
        return PostedPrice(price=float(self.price)), QuadraticBids(weights), 1.0

    def settle(self, scores: Tensor, quantity: Tensor) -> Tensor:
        """What was bought, renormalised."""
        total = quantity.sum(-1, keepdim=True)
        lost = total <= 0
        first = torch.nn.functional.one_hot(scores.argmax(-1), scores.shape[-1]).to(quantity.dtype)
        alone = first.masked_fill(scores == -torch.inf, 0.0)
        return torch.where(lost, alone, quantity / torch.where(lost, 1.0, total))
