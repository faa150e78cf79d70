"""The search itself, along a line from 0 to 1: bisection where the ends differ, and else a look inside.

Nothing is assumed of the figure but what is seen: where it is no monotone function, one of several solutions is found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from scipy.optimize import minimize_scalar

from walras.experiments.calibrating.target import Target

FOUND, EVERYWHERE, NOWHERE, RAN_OUT = "found", "everywhere", "nowhere", "out of runs"


@final
@dataclass(frozen=True)
class Place:
    """A number that was tried, and how much the figure there is above its level."""

    at: float  # from 0 to 1
    gap: float


@final
@dataclass(frozen=True)
class Found:
    """The best place of a search, how it ended, and the place on the other side of the boundary, where there is one."""

    best: Place
    status: str
    other: Place | None = None


@final
class _OutOfRunsError(Exception):
    """There may be no more evaluations."""


@final
class Search:
    """Evaluations of a figure, each place once, and no more than there may be.

    Args:
        gaps: the figure minus its level at several places; those of equal settings should cost nothing.
        target: what counts as reached.
        middle: the place half way between two; None where there is none, as between neighbours of whole numbers.
        tolerance: of places.
        runs: most places that are tried.
    """

    def __init__(
        self, gaps: Callable[[Sequence[float]], Sequence[float]], target: Target,
        middle: Callable[[float, float], float | None], tolerance: float, runs: int,
    ) -> None:  # fmt: skip
        self._gaps, self._target, self._middle = gaps, target, middle
        self._tolerance, self._runs = tolerance, runs
        self.tried: dict[float, Place] = {}

    def find(self) -> Found:
        """The search from both ends."""
        low, high = self._try([0.0, 1.0])
        if self._target.relation == "=" and 0 in (low.gap, high.gap):
            return Found(self._nearest(), FOUND)
        try:
            if self._side(low) != self._side(high):
                return self._bisected(low, high)
            if self._target.relation != "=" and self._side(low):
                return Found(low, EVERYWHERE)
            return self._inside(low)
        except _OutOfRunsError:
            return self._out_of_runs(low)

    def _side(self, place: Place) -> bool:
        """Whether the target holds; where it is an equality, whether the figure is above."""
        return place.gap > 0 if self._target.relation == "=" else self._target.holds(place.gap)

    def _try(self, places: Sequence[float]) -> list[Place]:
        new = [at for at in places if at not in self.tried]
        if new and len(self.tried) + len(new) > self._runs:
            raise _OutOfRunsError
        if new:
            self.tried |= {at: Place(at, gap) for at, gap in zip(new, self._gaps(new), strict=True)}
        return [self.tried[at] for at in places]

    def _bisected(self, one: Place, other: Place) -> Found:
        """The boundary between two places on different sides."""
        while abs(one.at - other.at) > self._tolerance:
            at = self._middle(one.at, other.at)
            if at is None:
                break
            (between,) = self._try([at])
            if between.gap == 0 and self._target.relation == "=":
                return Found(between, FOUND)
            one, other = (between, other) if self._side(between) == self._side(one) else (one, between)
        return self._of_two(one, other, FOUND)

    def _of_two(self, one: Place, other: Place, status: str) -> Found:
        """The better of two places on different sides: the one that holds, or the one that is nearer."""
        first = abs(one.gap) <= abs(other.gap) if self._target.relation == "=" else self._side(one)
        return Found(one, status, other) if first else Found(other, status, one)

    def _inside(self, low: Place) -> Found:
        """Both ends are on the same, wrong side: the place between them where the figure comes nearest."""
        sign = 1.0 if self._target.relation == "<=" or (self._target.relation == "=" and low.gap > 0) else -1.0

        def height(at: float) -> float:
            (place,) = self._try([float(at)])
            if self._side(place) != self._side(low):
                raise _CrossedError(place)
            return sign * place.gap

        try:
            minimize_scalar(height, bounds=(0.0, 1.0), method="bounded", options={"xatol": self._tolerance})
        except _CrossedError as crossed:
            return self._bisected(low, crossed.place)
        return Found(self._nearest(), NOWHERE)

    def _nearest(self) -> Place:
        return min(self.tried.values(), key=lambda place: abs(place.gap))

    def _out_of_runs(self, low: Place) -> Found:
        """The best of what was tried."""
        ordered = sorted(self.tried.values(), key=lambda place: place.at)
        for one, other in pairwise(ordered):
            if self._side(one) != self._side(other):
                return self._of_two(one, other, RAN_OUT)
        return Found(self._nearest(), RAN_OUT)


@final
class _CrossedError(Exception):
    """A place on the other side was found."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.place = place
