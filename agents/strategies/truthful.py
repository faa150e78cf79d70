"""Bidding what a unit is worth."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy


@final
@dataclass(frozen=True)
class Truthful(Strategy):
    """Agents report what their units are worth to them."""

    name: ClassVar[str] = "truthful"

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """The values themselves [n]."""
        del generator
        return info.value.copy()
