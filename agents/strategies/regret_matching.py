"""Choosing each report in proportion to the regret of not having made it."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.agents.strategies.learner import Learner, shares
from walras.agents.strategies.strategy import Column, Outcome


@final
@dataclass(frozen=True, eq=False)
class RegretMatching(Learner):
    """Chance of factor k proportional to max(0, what k would have earned more than what was earned, so far).

    Hart and Mas-Colell 2000 (doi 10.1111/1468-0262.00153): regret a round tends to 0 as 1 / sqrt(T), and where all do
    so play tends to coarse correlated equilibria. Where nothing is regretted all factors are as likely.
    """

    name: ClassVar[str] = "regret-matching"

    def chances(self, score: Column) -> Column:
        """Positive parts of the regrets, as shares [n, k]."""
        positive = np.maximum(score, 0.0)
        total = positive.sum(-1, keepdims=True)
        equal = np.full_like(positive, 1 / positive.shape[-1])
        chance: Column = np.divide(positive, total, out=equal, where=np.broadcast_to(total, positive.shape) > 0)
        return chance

    def learnt(self, score: Column, arm: NDArray[np.int64], outcome: Outcome) -> Column:
        """Sums of regrets [n, k]."""
        del arm
        earned = shares(outcome.reward, outcome.value)
        return score + self.rewards(outcome) - earned[:, None]
