"""Sparsemax: the keys are quadratic bidders."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms import Bids, Mechanism, QuadraticBids, ShadowPrice
from walras.models.attention.kernels import entmax
from walras.models.attention.rule import AttentionRule, Setting, check_temperature, scaled


@final
@dataclass(frozen=True)
class Sparsemax(AttentionRule):
    """sparsemax(score / T) (Martins and Astudillo 2016, arXiv 1602.02068), with exact zeros.

    Keys with a score below the shadow price get nothing; the lower the temperature, the fewer share the unit.
    """

    temperature: Setting = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`."""
        return entmax(scaled(scores, self.temperature), 2.0)

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Quadratic bidders for one unit."""
        return ShadowPrice(price_floor=-torch.inf), QuadraticBids(scores, self.temperature), 1.0
