"""Choosing each report in proportion to the regret of not having made it."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.agents.strategies.learner import Learner, shares
from walras.agents.strategies.strategy import Column, RoundOutcome


@final
@dataclass(frozen=True)
class RegretMatching(Learner):
    """Agents report factor k with a chance proportional to their regret of not having reported it in the rounds so far.

    Regret of k is what it would have earned less what was earned, where that is above 0; where nothing is regretted all
    factors are as likely. Regret per round tends to 0 as 1 / sqrt(T), and where all agents do this, play tends to
    coarse correlated equilibria.
    """

    name: ClassVar[str] = "regret-matching"
    source: ClassVar[str] = "Hart & Mas-Colell 2000, doi 10.1111/1468-0262.00153"

    def chances(self, score: Column) -> Column:
        """Positive parts of the regrets, as shares [n, k]."""
        positive = np.maximum(score, 0.0)
        total = positive.sum(-1, keepdims=True)
        equal = np.full_like(positive, 1 / positive.shape[-1])
        chance: Column = np.divide(positive, total, out=equal, where=np.broadcast_to(total, positive.shape) > 0)
        return chance

    def learnt(self, score: Column, arm: NDArray[np.int64], outcome: RoundOutcome) -> Column:
        """Sums of regrets [n, k]."""
        del arm
        earned = shares(outcome.reward, outcome.value)
        return score + self.rewards(outcome) - earned[:, None]
