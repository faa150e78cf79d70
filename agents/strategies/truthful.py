"""Bidding what a unit is worth."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy


@final
@dataclass(frozen=True)
class Truthful(Strategy):
    """Every agent reports its value."""

    name: ClassVar[str] = "truthful"

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        """The values themselves [n]."""
        del generator
        return known.value.copy()
