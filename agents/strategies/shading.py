"""Bidding less than what a unit is worth, always by the same share."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy
from walras.errors import InputError


@final
@dataclass(frozen=True)
class Shading(Strategy):
    """Agents report the same share of their value in every round.

    Where winners pay their bids, a factor of (n - 1) / n is the equilibrium of n bidders for one unit whose values are
    uniform; where they do not pay their bids, shading only loses auctions.
    """

    factor: float = 0.8
    name: ClassVar[str] = "shading"
    source: ClassVar[str] = "Vickrey 1961, doi 10.1111/j.1540-6261.1961.tb02789.x"

    def __post_init__(self) -> None:
        if not 0 <= self.factor < np.inf:
            raise InputError(f"factor is {self.factor}; it must be a number of at least 0")

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """Values [n], shaded."""
        del generator
        return self.factor * info.value
