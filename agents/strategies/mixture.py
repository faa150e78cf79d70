"""A population in which agents follow different strategies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.agents.strategies.strategy import BidderInfo, Column, Outcome, Strategy
from walras.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class Mixture(Strategy):
    """`shares` of the agents follow each of the `parts`; who follows which is drawn once, when the market begins.

    Numbers are rounded by largest remainder, so that they add up to the agents there are.
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
        """Whether any of them does."""
        return any(part.learns for part in self.parts)

    def begun(self, agents: int, generator: np.random.Generator) -> "Mixture":
        """Agents are dealt out, and the parts begin with theirs."""
        exact = np.asarray(self.shares) * agents
        count = np.floor(exact).astype(np.int64)
        first = np.argsort(count - exact, kind="stable")[: agents - int(count.sum())]
        count[first] += 1
        place = generator.permutation(np.repeat(np.arange(len(self.parts)), count))
        parts = tuple(part.begun(int(k), generator) for part, k in zip(self.parts, count, strict=True))
        return replace(self, parts=parts, place=place)

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        """Everybody's report [n]."""
        report = np.zeros(len(known.value))
        for part, mine in self._dealt(len(known.value)):
            own = replace(known, **{name: getattr(known, name)[mine] for name in _KNOWN})
            report[mine] = part.bid(own, generator)
        return report

    def after(self, outcome: Outcome, generator: np.random.Generator) -> "Mixture":
        """Each part learns from its own agents' rows."""
        found = []
        for part, mine in self._dealt(len(outcome.value)):
            own = replace(outcome, **{name: getattr(outcome, name)[mine] for name in _BROUGHT})
            found.append(part.after(own, generator))
        return replace(self, parts=tuple(found))

    def names(self, agents: int) -> list[str]:
        """Each agent's own strategy."""
        names = np.array([part.name for part in self.parts], dtype=object)
        return [self.name] * agents if self.place is None else list(names[self.place])

    def _dealt(self, agents: int) -> Sequence[tuple[Strategy, NDArray[np.int64]]]:
        """Each part and the places of its agents."""
        if self.place is None or len(self.place) != agents:
            raise InputError(f"a mixture of strategies has not begun with {agents} agents; a market calls `begun`")
        return [(part, np.flatnonzero(self.place == k)) for k, part in enumerate(self.parts)]


_KNOWN = ("value", "cost", "wealth", "quantity", "price")
_BROUGHT = ("value", "report", "quantity", "price", "payment")
