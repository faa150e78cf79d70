"""Bidding what would have been best in the round before."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy
from walras.errors import InputError


@final
@dataclass(frozen=True)
class BestResponse(Strategy):
    """Against the last price: whoever would have gained bids just above it, by a share `margin`; others their value.

    Myopic best response (Cournot 1838 for quantities). Where winners pay their bids nothing wins more cheaply; where
    they pay the price it earns what the truth does. In the first round there is no price, and the truth is told. If all
    do this the price need not settle: it is bid up from the margin and falls back when somebody leaves.
    """

    margin: float = 0.01
    name: ClassVar[str] = "best-response"

    def __post_init__(self) -> None:
        if not 0 <= self.margin < np.inf:
            raise InputError(f"margin is {self.margin}; it must be a number of at least 0")

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        """Reports [n], at most the values."""
        del generator
        enough = known.price * (1 + self.margin)
        return np.where((known.price > 0) & (enough < known.value), enough, known.value)
