"""What strategies share that learn which share of its value an agent had best report."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.agents.strategies.strategy import BidderInfo, Column, RoundOutcome, Strategy, multiples
from walras.errors import InputError


@dataclass(frozen=True)
class Learner(Strategy):
    """Each agent chooses among reports of `factors` x value, by chances that follow from what the past rounds paid.

    Rewards are counted in shares of the agent's own value, from -1 to 1, so that one rate suits all. A learner is the
    rule and its parameters; what has been learnt is in the `Learning` that `begun` returns.
    """

    factors: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)

    @property
    def learns(self) -> bool:
        """Always: that is what it is for."""
        return True

    def __post_init__(self) -> None:
        if len(self.factors) < 2 or not all(0 <= f < np.inf for f in self.factors):
            raise InputError(f"factors are {self.factors}; at least two numbers of at least 0 are needed")

    @abstractmethod
    def chances(self, score: Column) -> Column:
        """Chance [n, k] of every factor, given the scores [n, k] of the rounds so far."""

    @abstractmethod
    def learnt(self, score: Column, arm: NDArray[np.int64], outcome: RoundOutcome) -> Column:
        """Scores [n, k] after a round in which factor number `arm` [n] was reported."""

    def begun(self, agents: int, generator: np.random.Generator) -> "Learning":
        """All scores are 0, and each agent has drawn its first factor."""
        score = np.zeros((agents, len(self.factors)), order="F")
        return Learning(self, score, drawn(self.chances(score), generator))

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """Nothing can be bid before `begun`.

        Raises:
            InputError: always.
        """
        del generator
        raise _not_begun(self, len(info.value))

    def rewards(self, outcome: RoundOutcome) -> Column:
        """What every factor would have earned [n, k], as a share of the value."""
        return shares(outcome.forgone(multiples(outcome.value, self.factors)), outcome.value[:, None])


@final
@dataclass(frozen=True, eq=False)
class Learning(Strategy):
    """Agents in the middle of learning by a rule: the scores [n, k] so far, and the factor `arm` [n] that is next."""

    rule: Learner
    score: Column
    arm: NDArray[np.int64]
    name: ClassVar[str] = "learning"

    @property
    def learns(self) -> bool:
        """As its rule does."""
        return True

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """The chosen factor of each agent's value [n].

        Raises:
            InputError: another number of agents than have begun.
        """
        del generator
        if self.arm.shape != info.value.shape:
            raise _not_begun(self.rule, len(info.value))
        return np.asarray(self.rule.factors)[self.arm] * info.value

    def after(self, outcome: RoundOutcome, generator: np.random.Generator) -> "Learning":
        """The scores with this round, and the factors of the next."""
        score = self.rule.learnt(self.score, self.arm, outcome)
        return replace(self, score=score, arm=drawn(self.rule.chances(score), generator))

    def names(self, agents: int) -> list[str]:
        """The name of the rule, for every agent."""
        return self.rule.names(agents)


def _not_begun(rule: Learner, agents: int) -> InputError:
    return InputError(
        f"strategy {rule.name} learns from what rounds bring, and has not begun with {agents} agents; a market calls "
        "`begun` and `after`"
    )


def shares(reward: Column, value: Column) -> Column:
    """Rewards as shares of values, from -1 to 1; 0 where a value is 0."""
    some = value > 0
    share: Column = np.where(some, reward / np.where(some, value, 1.0), 0.0)
    return np.clip(share, -1.0, 1.0, out=share)


def drawn(chance: Column, generator: np.random.Generator) -> NDArray[np.int64]:
    """A choice [n] from chances [n, k]."""
    below = chance.cumsum(-1)
    point = generator.uniform(size=(len(chance), 1)) * below[:, -1:]
    choice: NDArray[np.int64] = np.minimum((point >= below).sum(-1), chance.shape[-1] - 1)
    return choice
