"""The interface of everything that decides how to bid."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


@final
@dataclass(frozen=True)
class BidderInfo:
    """What agents know when they bid; columns [n], one row per agent. Prices are those of the round before."""

    value: Column  # what a whole unit is worth to its agent, in money
    cost: Column  # share of the leading resource that a whole unit uses
    wealth: Column
    quantity: Column  # what each agent got in the round before
    price: Column  # what a whole unit would have cost each agent in the round before; 0 in the first
    supply: float  # of the leading resource, for all agents together


@final
@dataclass(frozen=True)
class RoundOutcome:
    """What a round brought each agent; columns [n].

    `value` is what a whole unit turned out to be worth, after the clearing.
    """

    value: Column
    report: Column
    quantity: Column
    price: Column  # what a whole unit cost each agent, whether it bought or not
    payment: Column
    pays_bid: bool = False  # whether winners pay what they bid, and not the price

    @property
    def reward(self) -> Column:
        """Realised value of what each agent got, less its payment [n]."""
        return self.value * self.quantity - self.payment

    def forgone(self, report: Column) -> Column:
        """What other reports, [n] or [n, k], would have earned if they had not moved the price.

        An agent that reports at least the price gets its unit. One agent of many moves the price little; the last
        winner may move it to the first loser's bid. Below the price nothing is expected: that an agent fits into what
        others leave, as `ShadowPrice` lets it, is luck.
        """
        value, price = (x.reshape(*x.shape, *[1] * (report.ndim - 1)) for x in (self.value, self.price))
        paid = report if self.pays_bid else price
        return np.where(report >= price, value - paid, 0.0)


def multiples(value: Column, factors: Sequence[float]) -> Column:
    """Factors times values, [n, k]; laid out factor by factor, so that what is taken over k of them is fast."""
    reports: Column = (np.asarray(factors)[:, None] * value).T
    return reports


class Strategy(ABC):
    """From values to reports, for all agents at once.

    Concrete strategies are final frozen dataclasses, whose fields are their parameters. What is learnt from one round
    to the next is handed on through `begun` and `after`; most strategies learn nothing, and define `bid` alone.
    """

    name: ClassVar[str]  # as it stands in the trace

    @property
    def learns(self) -> bool:
        """Whether it needs to be told what rounds bring."""
        return False

    @abstractmethod
    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """Report [n] of every agent: what it says that a whole unit is worth to it."""

    def begun(self, agents: int, generator: np.random.Generator) -> "Strategy":
        """The strategy of so many agents before their first round."""
        del agents, generator
        return self

    def after(self, outcome: RoundOutcome, generator: np.random.Generator) -> "Strategy":
        """The strategy of the next round, once this one has been cleared and units have been valued anew."""
        del outcome, generator
        return self

    def names(self, agents: int) -> list[str]:
        """What each of so many agents does, by name."""
        return [self.name] * agents
