"""Bidding the truth, as far as the money goes."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy


@final
@dataclass(frozen=True)
class BudgetLimited(Strategy):
    """Report = min(value, wealth): nobody can be made to pay more than it has. Needs an endowment to begin with."""

    name: ClassVar[str] = "budget-limited"

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        """The smaller of value and wealth [n], 0 for who has none."""
        del generator
        return np.minimum(known.value, np.maximum(known.wealth, 0.0))
