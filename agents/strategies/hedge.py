"""Multiplicative weights over shares of the value."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from walras.agents.strategies.learner import Learner
from walras.agents.strategies.strategy import Column, Outcome
from walras.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class Hedge(Learner):
    """Report factor k with chance proportional to exp(rate x what k would have earned so far).

    Freund and Schapire 1997 (doi 10.1006/jcss.1997.1504): with rate = sqrt(8 ln k / T) / 2 for rewards from -1 to 1,
    regret after T rounds is at most sqrt(2 T ln k). Sees what every factor would have earned at the price
    (`Outcome.forgone`).
    """

    rate: float = 0.3
    name: ClassVar[str] = "hedge"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate < np.inf:
            raise InputError(f"rate is {self.rate}; it must be a number above 0")

    def chances(self, score: Column) -> Column:
        """Softmax of the scores [n, k]."""
        chance: Column = softmax(self.rate * score, axis=-1)
        return chance

    def learnt(self, score: Column, arm: NDArray[np.int64], outcome: Outcome) -> Column:
        """Sums of rewards [n, k]."""
        del arm
        return score + self.rewards(outcome)
