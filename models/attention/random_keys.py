"""A lottery of k places among the keys: the control beside top-k."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms import Bids, IndivisibleBids, Mechanism, UniformPriceAuction
from walras.models.attention.kernels import best
from walras.models.attention.rule import AttentionRule, check_keys, softmax_over


@final
@dataclass(frozen=True)
class RandomKeys(AttentionRule):
    """Softmax over k open keys of each row drawn by lot, renormalised.

    The draw depends on the seed and on the shape of the scores alone, so it repeats itself on every device, and is
    the same in two layers unless each has a seed of its own. Inactive where no more than k keys are open.
    """

    k: int
    seed: int

    def __post_init__(self) -> None:
        check_keys(self.k)

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`."""
        return softmax_over(scores, best(self._lots(scores), self.k))

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Every open key bids its lot for one of k places."""
        return UniformPriceAuction(price_floor=-torch.inf), IndivisibleBids(self._lots(scores)), float(self.k)

    def settle(self, scores: Tensor, quantity: Tensor) -> Tensor:
        """Softmax over the keys that won a place."""
        return softmax_over(scores, quantity > 0)

    def _lots(self, scores: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        lots = torch.rand(scores.shape, generator=generator, dtype=torch.float64).to(scores.device)
        return lots.masked_fill(scores == -torch.inf, -torch.inf)
