"""Multiplicative weights over shares of the value."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from walras.agents.strategies.learner import Learner
from walras.agents.strategies.strategy import Column, RoundOutcome
from walras.errors import InputError


@final
@dataclass(frozen=True)
class Hedge(Learner):
    """Agents report factor k with a chance proportional to exp(rate x what k would have earned so far).

    With rate = sqrt(8 ln k / T) / 2 for rewards from -1 to 1, regret after T rounds is at most sqrt(2 T ln k). It sees
    what every factor would have earned at the price (`RoundOutcome.forgone`).
    """

    rate: float = 0.3
    name: ClassVar[str] = "hedge"
    source: ClassVar[str] = "Freund & Schapire 1997, doi 10.1006/jcss.1997.1504"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate < np.inf:
            raise InputError(f"rate is {self.rate}; it must be a number above 0")

    def chances(self, score: Column) -> Column:
        """Softmax of the scores [n, k]."""
        chance: Column = softmax(self.rate * score, axis=-1)
        return chance

    def learnt(self, score: Column, arm: NDArray[np.int64], outcome: RoundOutcome) -> Column:
        """Sums of rewards [n, k]."""
        del arm
        return score + self.rewards(outcome)
