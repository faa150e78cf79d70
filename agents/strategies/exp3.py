"""Multiplicative weights for agents that see nothing but their own reward."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from walras.agents.strategies.learner import Learner, shares
from walras.agents.strategies.strategy import Column, RoundOutcome
from walras.errors import InputError


@final
@dataclass(frozen=True)
class EXP3(Learner):
    """Agents report factor k by exponential weights that explore and exploit.

    1. Chance of factor k: (1 - gamma) w_k / sum w + gamma / K.
    2. The reward of the factor that was reported, as a number from 0 to 1, divided by its chance, estimates what the
       factor earns; ln w_k grows by gamma / K times that.

    No counterfactual is looked at, so that it learns under any rule; and slowly.
    """

    gamma: float = 0.2
    name: ClassVar[str] = "exp3"
    source: ClassVar[str] = "Auer et al. 2002, doi 10.1137/S0097539701398375, section 3"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.gamma <= 1:
            raise InputError(f"gamma is {self.gamma}; it must be a share of exploration above 0 and at most 1")

    def chances(self, score: Column) -> Column:
        """Step 1 [n, k]; scores are ln w."""
        chance: Column = (1 - self.gamma) * softmax(score, axis=-1) + self.gamma / len(self.factors)
        return chance

    def learnt(self, score: Column, arm: NDArray[np.int64], outcome: RoundOutcome) -> Column:
        """Step 2 [n, k]."""
        rows, found = np.arange(len(arm)), score.copy()
        reward = (shares(outcome.reward, outcome.value) + 1) / 2
        found[rows, arm] += self.gamma / len(self.factors) * reward / self.chances(score)[rows, arm]
        return found
