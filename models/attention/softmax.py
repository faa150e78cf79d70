"""Softmax: the keys are entropic bidders."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms import Bids, EntropicBids, Mechanism, ShadowPrice
from walras.models.attention.rule import AttentionRule, Setting, check_temperature, masked_softmax, scaled


@final
@dataclass(frozen=True)
class Softmax(AttentionRule):
    """softmax(score / T): one unit of attention at the shadow price T (logsumexp(score / T) - 1)."""

    temperature: Setting = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`; every open key gets something."""
        return masked_softmax(scaled(scores, self.temperature))

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Entropic bidders for one unit."""
        return ShadowPrice(price_floor=-torch.inf), EntropicBids(scores, self.temperature), 1.0
