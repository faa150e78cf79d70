"""Bidding at random, but never at a loss."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy


@final
@dataclass(frozen=True)
class ZeroIntelligence(Strategy):
    """Report uniform between 0 and the value: Gode and Sunder's constrained traders (1993, doi 10.1086/261868).

    They show how much of a market's efficiency its rule alone brings about.
    """

    name: ClassVar[str] = "zero-intelligence"

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        """A draw for each agent [n]."""
        return generator.uniform(size=known.value.shape) * known.value
