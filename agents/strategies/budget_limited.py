"""Bidding the truth, as far as the money goes."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from walras.agents.strategies.strategy import BidderInfo, Column, Strategy


@final
@dataclass(frozen=True)
class BudgetLimited(Strategy):
    """Agents report the smaller of value and wealth, so that none can be made to pay more than it has.

    They need an endowment to begin with.
    """

    name: ClassVar[str] = "budget-limited"

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """The smaller of value and wealth [n]; 0 where there is no wealth."""
        del generator
        return np.minimum(info.value, np.maximum(info.wealth, 0.0))
