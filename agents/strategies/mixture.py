"""A population in which agents follow different strategies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.agents.strategies.strategy import BidderInfo, Column, RoundOutcome, Strategy
from walras.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class Mixture(Strategy):
    """A share of the agents follows each of several strategies; which agent follows which is drawn once, at the start.

    Numbers of agents are rounded by largest remainder, so that they add up to the agents there are.
    """

    parts: tuple[Strategy, ...]
    shares: tuple[float, ...]
    place: NDArray[np.int64] | None = None  # number of each agent's part [n]
    name: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.shares) or not self.parts:
            raise InputError(f"{len(self.parts)} strategies and {len(self.shares)} shares; each needs one")
        if any(not 0 <= share <= 1 for share in self.shares) or abs(sum(self.shares) - 1) > 1e-9:
            told = ", ".join(f"{p.name}={s:g}" for p, s in zip(self.parts, self.shares, strict=True))
            raise InputError(f"shares of strategies are {told}: {sum(self.shares):g} together; they must add up to 1")

    @property
    def learns(self) -> bool:
        """Whether any part does."""
        return any(part.learns for part in self.parts)

    def begun(self, agents: int, generator: np.random.Generator) -> "Mixture":
        """Each agent has been given its part, and the parts have begun with theirs."""
        exact = np.asarray(self.shares) * agents
        count = np.floor(exact).astype(np.int64)
        first = np.argsort(count - exact, kind="stable")[: agents - int(count.sum())]
        count[first] += 1
        place = generator.permutation(np.repeat(np.arange(len(self.parts)), count))
        parts = tuple(part.begun(int(k), generator) for part, k in zip(self.parts, count, strict=True))
        return replace(self, parts=parts, place=place)

    def bid(self, info: BidderInfo, generator: np.random.Generator) -> Column:
        """Report [n] of every agent, by its own part."""
        report = np.zeros(len(info.value))
        for part, mine in self._dealt(len(info.value)):
            own = replace(info, **{name: getattr(info, name)[mine] for name in _INFO_COLUMNS})
            report[mine] = part.bid(own, generator)
        return report

    def after(self, outcome: RoundOutcome, generator: np.random.Generator) -> "Mixture":
        """Each part has learnt from the rows of its own agents."""
        found = []
        for part, mine in self._dealt(len(outcome.value)):
            own = replace(outcome, **{name: getattr(outcome, name)[mine] for name in _OUTCOME_COLUMNS})
            found.append(part.after(own, generator))
        return replace(self, parts=tuple(found))

    def names(self, agents: int) -> list[str]:
        """Each agent's own strategy."""
        if self.place is None:
            return [self.name] * agents
        names = np.empty(agents, dtype=object)
        for part, mine in self._dealt(agents):
            names[mine] = part.names(len(mine))
        return list(names)

    def _dealt(self, agents: int) -> Sequence[tuple[Strategy, NDArray[np.int64]]]:
        """Each part and the places of its agents."""
        if self.place is None or len(self.place) != agents:
            raise InputError(f"a mixture of strategies has not begun with {agents} agents; a market calls `begun`")
        return [(part, np.flatnonzero(self.place == k)) for k, part in enumerate(self.parts)]


_INFO_COLUMNS = ("value", "cost", "wealth", "quantity", "price")
_OUTCOME_COLUMNS = ("value", "report", "quantity", "price", "payment")
