"""Bidding what would have been best in the round before."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy
from walras.errors import InputError


@final
@dataclass(frozen=True)
class BestResponse(Strategy):
    """Agents to which a unit is worth more than its last price bid that price and a share `margin`, others their value.

    This is myopic best response. Where winners pay their bids nothing wins more cheaply; where they pay the price it
    earns what the truth does. In the first round there is no price, and the truth is told. If all agents do this the
    price need not settle: it is bid up from the margin and falls back when some agent leaves.
    """

    margin: float = 0.01
    name: ClassVar[str] = "best-response"
    source: ClassVar[str] = "Cournot 1838, for quantities"

    def __post_init__(self) -> None:
        if not 0 <= self.margin < np.inf:
            raise InputError(f"margin is {self.margin}; it must be a number of at least 0")

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """Reports [n], at most the values."""
        del generator
        enough = info.price * (1 + self.margin)
        return np.where((info.price > 0) & (enough < info.value), enough, info.value)
