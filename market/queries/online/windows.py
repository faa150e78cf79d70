"""When a budget begins anew: after so many queries, or after so many seconds."""

from abc import ABC, abstractmethod
from math import exp, inf, ulp
from typing import Any, ClassVar, final

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.limits import MOST_TOKENS, amount


class Windows(ABC):
    """Counts windows, each of which has the whole budget; what is left of one is lost, as idle capacity is.

    Attributes:
        number: of the present window, from 0.
    """

    kind: ClassVar[str]

    def __init__(self) -> None:
        self.number = 0

    @property
    @abstractmethod
    def expected(self) -> float:
        """Queries that a window is thought to have; above 0."""

    @abstractmethod
    def passed(self, now: float) -> float:
        """The share of a window that has passed since the last call, by the clock, in seconds."""

    @abstractmethod
    def counted(self, queries: int) -> float:
        """The share of a window that so many queries stand for."""

    @abstractmethod
    def turn(self) -> bool:
        """Begin the window in which the time of the last `passed` lies, if it is a later one; whether it is."""

    @abstractmethod
    def arrive(self) -> bool:
        """Count a query that comes, at the time of the last `passed`; whether it begins a window."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `restore` takes: plain numbers."""

    @abstractmethod
    def restore(self, state: dict[str, Any], now: float, ago: float) -> None:
        """Go on, at a time `now`, from a state that was taken so many seconds ago."""


@final
class CountWindows(Windows):
    """A window is so many queries, whenever they come."""

    kind: ClassVar[str] = "queries"

    def __init__(self, queries: int) -> None:
        super().__init__()
        if isinstance(queries, bool) or not isinstance(queries, int) or not 1 <= queries <= MOST_TOKENS:
            raise InputError(f"window is {shown(queries)}; it must be a whole number of queries, 1 or more")
        self.queries, self.met = queries, 0

    @property
    def expected(self) -> float:
        """All windows are alike."""
        return float(self.queries)

    def passed(self, now: float) -> float:
        """Time does not count."""
        del now
        return 0.0

    def counted(self, queries: int) -> float:
        """Each query is one part of its window."""
        return queries / self.queries

    def turn(self) -> bool:
        """Only queries begin windows."""
        return False

    def arrive(self) -> bool:
        """The first query after a full window begins one."""
        begins = self.met == self.queries
        if begins:
            self.number, self.met = self.number + 1, 0
        self.met += 1
        return begins

    def state(self) -> dict[str, Any]:
        """The window, and queries met in it."""
        return {"number": self.number, "met": self.met}

    def restore(self, state: dict[str, Any], now: float, ago: float) -> None:
        """However long ago."""
        del now, ago
        self.number, self.met = int(state["number"]), int(state["met"])


@final
class TimeWindows(Windows):
    """A window is so many seconds; how many queries come in one is learned from those that came.

    The number is estimated by a sum over past queries of exp(-age / seconds), whose mean is the number of queries a
    window where they come evenly. A clock that is set back stands still until it has caught up.
    """

    kind: ClassVar[str] = "seconds"

    def __init__(self, seconds: float, expected: float) -> None:
        """Args: seconds: of a window. expected: queries in one, as long as few have come."""
        super().__init__()
        self.seconds = amount(seconds, "seconds of a window", 1e-3, 1e9)
        self._sum = amount(expected, "queries of a window", 1e-6)
        self._now = -inf  # of the last call
        self._begun: float | None = None

    @property
    def expected(self) -> float:
        """At least one."""
        return max(self._sum, 1.0)

    def begin(self, now: float) -> None:
        """Let the first window begin now, instead of with the first query."""
        self._now = self._begun = now

    @property
    def left(self) -> float:
        """Seconds until the next window begins, from the last call on."""
        return self.seconds - (0.0 if self._begun is None else (self._now - self._begun) % self.seconds)

    def passed(self, now: float) -> float:
        """At most one window: what was not used of earlier ones is gone."""
        before, self._now = self._now, max(now, self._now)
        gone = (self._now - before) / self.seconds if before > -inf else 0.0
        if before > -inf:
            self._sum *= exp(-gone)
        return min(gone, 1.0)

    def counted(self, queries: int) -> float:
        """Queries do not count, time does."""
        del queries
        return 0.0

    @property
    def again(self) -> float:
        """When whoever waits for the next window asks again: so long after it begins that rounding does not matter."""
        return self._now + self.left + max(self.seconds * 2.0**-20, 4 * ulp(self._now))

    def arrive(self) -> bool:
        """One more of those that come."""
        self._sum += 1.0
        return self.turn()

    def turn(self) -> bool:
        """Windows follow each other without a gap, whether queries come or not."""
        if self._begun is None:
            self._begun = self._now
        over = int((self._now - self._begun) // self.seconds)
        self.number += over
        self._begun += over * self.seconds
        return over > 0

    def state(self) -> dict[str, Any]:
        """The window, its age at the last call, and what is known of how many come."""
        age = None if self._begun is None else self._now - self._begun
        return {"number": self.number, "age": age, "sum": self._sum, "begun": self._now > -inf}

    def restore(self, state: dict[str, Any], now: float, ago: float) -> None:
        """The window goes on where it was, older by that time; never younger, should a clock have been set back."""
        self.number, self._sum = int(state["number"]), float(state["sum"])
        self._now = now - max(ago, 0.0) if state["begun"] else -inf
        self._begun = None if state["age"] is None else self._now - float(state["age"])
