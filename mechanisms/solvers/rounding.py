"""From fractions to whole units: round down, fill what is left, and dive where steps are coarse."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from walras.mechanisms.solvers.chains import Column
from walras.mechanisms.solvers.linear_program import WHOLE, Program

Served = NDArray[np.bool_]
_TINY = 1e-6
_DEPTH = 12
_ENOUGH = 1e-4  # relative distance of the best found to the bound at which a search ends


@final
@dataclass(frozen=True, eq=False)
class Rounding:
    """Whole units for a program, given the prices [K] of its relaxation.

    Rounding down loses at most the fractional units: for K resources the K largest values or, with chains, the
    values of K runs. Filling and diving only add to that.
    """

    program: Program
    price: Column

    def best(self, fraction: Column) -> Served:
        """The best of rounding `fraction` [n] and, where there are chains, of what diving from it finds."""
        rounded = self.fill(self.down(fraction))
        if self.program.chains.single or not _fractional(fraction).any():
            return rounded
        return self.dive(fraction, rounded)

    def worth(self, served: Served) -> float:
        """Sum of values."""
        return float(self.program.value[served].sum())

    def down(self, fraction: Column) -> Served:
        """Units that are served whole, as a chain allows; should the solver's rounding exceed a supply, less."""
        chains, order = self.program.chains, self.program.chains.order
        short = chains.sums((fraction[order] < 1 - WHOLE).astype(float)) > 0
        served = np.zeros(len(order), dtype=bool)
        served[order] = ~short
        while (over := self.program.cost[served].sum(0) > self.program.supply).any():
            following = np.append(served[order][1:], False) & ~chains.last
            ends = order[served[order] & ~following]  # units after which none of the chain is served
            ends = ends[self.program.cost[ends][:, over].sum(-1) > 0] if chains.single else ends
            served[ends[self.program.value[ends].argmin()]] = False
        return served

    @cached_property
    def _weight(self) -> Column:
        """Price [K] by which candidates are compared; a resource without a price counts a little."""
        weight: Column = self.price + _TINY * self.program.money / self.program.scale
        return weight

    def fill(self, served: Served) -> Served:
        """Serve further units, or runs of a chain, that fit and are worth at least 0; best value per charge first.

        Ties by position. Passes are repeated until one finds nothing more.
        """
        p, order = self.program, self.program.chains.order
        value, cost = p.chains.sums(p.value[order]), p.chains.sums(p.cost[order])
        may = np.logical_not(p.chains.sums(p.blocked[order].astype(float)) > 0)
        served = served.copy()
        grown = True
        while grown:
            grown = False
            left = p.supply - p.cost[served].sum(0)
            mine = served[order]
            have = p.chains.sums((p.value * served)[order]), p.chains.sums((p.cost * served[:, None])[order])
            extra, uses = value - have[0], cost - have[1]
            ask = may & ~mine & (extra >= 0) & (uses <= left + _rounding(uses)).all(-1)
            charge = uses @ self._weight
            ratio = np.divide(extra, charge, out=np.full(len(order), np.inf), where=charge > 0)
            places = np.flatnonzero(ask)
            done = np.zeros(len(order), dtype=bool)
            for place in places[np.lexsort((order[places], -ratio[places]))].tolist():
                first = p.chains.first[place]
                if not done[first] and (uses[place] <= left).all():
                    done[first] = grown = True
                    left = left - uses[place]
                    served[order[first : place + 1]] = True
        return served

    def dive(self, fraction: Column, served: Served) -> Served:
        """Branch on the run with the largest fraction, served to its end or not, and follow the higher bound.

        Both branches of each of at most `_DEPTH` steps are relaxed, rounded and filled, and the best of all is kept;
        ends early where no fraction is left or no bound lies above the best found.
        """
        p, low, high = self.program, np.zeros(len(fraction)), np.ones(len(fraction))
        best = self.worth(served)
        for _ in range(_DEPTH):
            if not _fractional(fraction).any():
                break
            nodes = []
            for node in self._branches(fraction, low, high):
                relaxed, _ = p.relaxed(*node)
                rounded = self.fill(self.down(relaxed))
                if self.worth(rounded) > best:
                    served, best = rounded, self.worth(rounded)
                nodes.append((float(p.value @ relaxed), relaxed, *node))
            bound, fraction, low, high = max(nodes, key=lambda node: node[0])
            if bound <= best * (1 + _ENOUGH):
                break
        return served

    def _branches(self, fraction: Column, low: Column, high: Column) -> Iterator[tuple[Column, Column]]:
        """Bounds under which the run with the largest fraction is served to its end, where that fits, and is not."""
        p, order = self.program, self.program.chains.order
        split = _fractional(fraction)[order]
        top = fraction[order][split].max()
        inside = fraction[order] >= top - WHOLE  # the run, and the units before it
        chain = p.chains.first == p.chains.first[np.flatnonzero(split & inside)[0]]
        end = int(np.flatnonzero(chain & inside)[-1])
        raised, lowered = low.copy(), high.copy()
        raised[order[chain & inside]] = 1
        lowered[order[chain & (np.arange(len(order)) >= end)]] = 0
        if (raised @ p.cost <= p.supply).all():
            yield raised, high
        yield low, lowered


def _fractional(fraction: Column) -> Served:
    return (fraction > WHOLE) & (fraction < 1 - WHOLE)


def _rounding(uses: Column) -> Column:
    """What differences of sums may be off by [n, K]; whether a run fits is told exactly later."""
    rounding: Column = 1e-12 * np.abs(uses)
    return rounding
