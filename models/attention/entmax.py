"""alpha-entmax: the keys are Tsallis bidders, between softmax and sparsemax and beyond."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import Bids, EntropicBids, Mechanism, ShadowPrice, TsallisBids
from walras.models.attention.kernels import entmax
from walras.models.attention.rule import AttentionRule, Setting, check_temperature, masked_softmax, scaled


@final
@dataclass(frozen=True)
class Entmax(AttentionRule):
    """alpha-entmax(score / T) (Peters, Niculae and Martins 2019, arXiv 1905.05702).

    alpha = 1 is softmax, 2 is sparsemax; above 1 keys get exact zeros.
    """

    alpha: float = 1.5
    temperature: Setting = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if not 1 <= self.alpha < torch.inf:
            raise InputError(f"alpha is {self.alpha}; it must be a number of at least 1")

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`."""
        scores = scaled(scores, self.temperature)
        return masked_softmax(scores) if self.alpha == 1 else entmax(scores, self.alpha)

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Tsallis bidders for one unit; at alpha = 1 entropic ones."""
        limit = self.alpha == 1
        bids = EntropicBids(scores, self.temperature) if limit else TsallisBids(scores, self.temperature, self.alpha)
        return ShadowPrice(price_floor=-torch.inf), bids, 1.0
