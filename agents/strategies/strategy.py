"""The interface of everything that decides how to bid."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Knowledge:
    """What agents know when they bid; columns [n], one row an agent. Prices are those of the round before."""

    value: Column  # what a whole unit is worth to its agent, in money
    cost: Column  # share of the supply's unit that a whole unit uses
    wealth: Column
    quantity: Column  # what each agent got in the round before
    price: Column  # what a whole unit would have cost each agent in the round before; 0 in the first
    supply: float


class Strategy(ABC):
    """From values to reports, for all agents at once. Concrete strategies are final frozen dataclasses."""

    name: ClassVar[str]  # as it stands in the trace

    @abstractmethod
    def bid(self, known: Knowledge, generator: np.random.Generator) -> Column:
        """Report [n] of every agent: what it says that a whole unit is worth to it."""
