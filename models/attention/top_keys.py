"""Top-k: an auction of k places among the keys."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms import Bids, IndivisibleBids, Mechanism, UniformPriceAuction
from walras.models.attention.kernels import best
from walras.models.attention.rule import AttentionRule, check_keys, softmax_over


@final
@dataclass(frozen=True)
class TopKeys(AttentionRule):
    """Softmax over the k keys with the highest scores, renormalised; ties by position.

    The keys bid their scores for k places; the price is the (k+1)-th score. Where no more than k keys are open the
    rule is inactive: plain softmax.
    """

    k: int

    def __post_init__(self) -> None:
        check_keys(self.k)

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`."""
        return softmax_over(scores, best(scores.detach(), self.k))

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Bids of one place each for k of them."""
        return UniformPriceAuction(price_floor=-torch.inf), IndivisibleBids(scores), float(self.k)

    def settle(self, scores: Tensor, quantity: Tensor) -> Tensor:
        """Softmax over the keys that won a place."""
        return softmax_over(scores, quantity > 0)
