"""Bidding less than what a unit is worth, always by the same share."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy
from walras.errors import InputError


@final
@dataclass(frozen=True)
class Shading(Strategy):
    """Report = factor x value. Where winners pay their bids, that is the equilibrium of n uniform bidders for one unit
    at factor (n - 1) / n (Vickrey 1961); where they do not, it only loses auctions."""

    factor: float = 0.8
    name: ClassVar[str] = "shading"

    def __post_init__(self) -> None:
        if not 0 <= self.factor < np.inf:
            raise InputError(f"factor is {self.factor}; it must be a number of at least 0")

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        """Values [n], shaded."""
        del generator
        return self.factor * known.value
