"""Bidding at random, but never at a loss."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy


@final
@dataclass(frozen=True)
class ZeroIntelligence(Strategy):
    """Agents report a uniform draw between 0 and their value, as traders without intelligence but with a constraint.

    They show how much of a market's efficiency its rule alone brings about.
    """

    name: ClassVar[str] = "zero-intelligence"
    source: ClassVar[str] = "Gode & Sunder 1993, doi 10.1086/261868"

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """A draw per agent [n]."""
        return generator.uniform(size=info.value.shape) * info.value
