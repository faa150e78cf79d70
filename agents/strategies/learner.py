"""What strategies share that learn which share of its value an agent had best report."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from walras.agents.strategies.strategy import BidderInfo, Column, Outcome, Strategy, multiples
from walras.errors import InputError

Self = TypeVar("Self", bound="Learner")


@dataclass(frozen=True, eq=False)
class Learner(Strategy):
    """Each agent chooses among reports of `factors` x value, by chances that follow from what the past rounds paid.

    Rewards are counted in shares of the agent's own value, from -1 to 1, so that one rate suits all. `score` [n, k] is
    what has been learnt of every factor, `arm` [n] the factor of the coming round.
    """

    factors: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    score: Column | None = None
    arm: NDArray[np.int64] | None = None

    @property
    def learns(self) -> bool:
        """By what the rounds brought."""
        return True

    def __post_init__(self) -> None:
        if len(self.factors) < 2 or not all(0 <= f < np.inf for f in self.factors):
            raise InputError(f"factors are {self.factors}; at least two numbers of at least 0 are needed")

    @abstractmethod
    def chances(self, score: Column) -> Column:
        """Chance [n, k] of every factor."""

    @abstractmethod
    def learnt(self, score: Column, arm: NDArray[np.int64], outcome: Outcome) -> Column:
        """Scores [n, k] after a round in which factor `arm` [n] was reported."""

    def begun(self: Self, agents: int, generator: np.random.Generator) -> Self:
        """Nothing is known yet."""
        score = np.zeros((agents, len(self.factors)), order="F")
        return replace(self, score=score, arm=drawn(self.chances(score), generator))

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        """The chosen factor of the value [n].

        Raises:
            InputError: a learner that nobody has begun.
        """
        del generator
        if self.arm is None or self.arm.shape != known.value.shape:
            raise InputError(
                f"strategy {self.name} learns from what rounds bring, and has not begun with {len(known.value)} "
                "agents; a market calls `begun` and `after`"
            )
        return np.asarray(self.factors)[self.arm] * known.value

    def after(self: Self, outcome: Outcome, generator: np.random.Generator) -> Self:
        """Learn, and choose the next factors."""
        assert self.score is not None
        assert self.arm is not None
        score = self.learnt(self.score, self.arm, outcome)
        return replace(self, score=score, arm=drawn(self.chances(score), generator))

    def rewards(self, outcome: Outcome) -> Column:
        """What every factor would have earned [n, k], as a share of the value."""
        return shares(outcome.forgone(multiples(outcome.value, self.factors)), outcome.value[:, None])


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
