"""Units that can be served only after another: chains, and sums along them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError

Column = NDArray[np.float64]
Rows = NDArray[np.int64]
NONE = -1


@final
@dataclass(frozen=True, eq=False)
class Chains:
    """`before` [n]: the unit that must be served first, `NONE` for none. No unit is before two others.

    A unit that stands alone is a chain of one. `order` lists all units chain by chain, each from its first unit on;
    what follows is in that order.

    Raises:
        InputError: an index out of range, a unit before two others, or a cycle.
    """

    before: Rows

    def __post_init__(self) -> None:
        n, before = len(self.before), self.before
        bad = (before < NONE) | (before >= n)
        if bad.any():
            where = int(bad.argmax())
            raise InputError(f"before[{where}] is {before[where]}; it must be {NONE} or a unit from 0 to {n - 1}")
        counts = np.bincount(before[before >= 0], minlength=n)
        if (counts > 1).any():
            raise InputError(f"unit {int(counts.argmax())} is before {counts.max()} others; it may be before one")
        if len(self.order) < n:
            loose = np.setdiff1d(np.arange(n), self.order)
            raise InputError(f"before makes a cycle of which unit {loose[0]} is part")

    @cached_property
    def order(self) -> Rows:
        """Units [n], chain by chain."""
        if (self.before == NONE).all():
            return np.arange(len(self.before))
        after = np.full(len(self.before), NONE)
        has = np.flatnonzero(self.before >= 0)
        after[self.before[has]] = has
        listed: list[int] = []
        for first in np.flatnonzero(self.before == NONE).tolist():
            unit = first
            while unit != NONE:
                listed.append(unit)
                unit = int(after[unit])
        return np.array(listed, dtype=np.int64)

    @cached_property
    def first(self) -> Rows:
        """Place [n] in `order` at which the chain of each place begins."""
        begins = self.before[self.order] == NONE
        place: Rows = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))
        return place

    @cached_property
    def last(self) -> NDArray[np.bool_]:
        """Whether the chain ends at a place [n]."""
        return np.append(self.first[1:] == np.arange(1, len(self.first)), True)[: len(self.first)]

    @property
    def spans(self) -> Iterator[tuple[int, int]]:
        """Where in `order` each chain begins and where the next one does."""
        starts = np.flatnonzero(self.first == np.arange(len(self.first))).tolist()
        return pairwise([*starts, len(self.first)])

    @property
    def single(self) -> bool:
        """Whether every unit stands alone."""
        return bool((self.before == NONE).all())

    def sums(self, amounts: Column) -> Column:
        """Sum [n, ...] of amounts [n, ...] (in `order`) from the beginning of the chain up to each place.

        Summed chain by chain, so that a chain's figures do not depend on the others.
        """
        if self.single:
            return amounts.astype(np.float64)
        return np.concatenate([np.cumsum(amounts[a:b], axis=0, dtype=np.float64) for a, b in self.spans])
