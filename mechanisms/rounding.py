"""From fractions to whole units: round down, fill what is left, and dive where steps are coarse."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from walras.mechanisms.chains import Column
from walras.mechanisms.linear_program import WHOLE, Program

Served = NDArray[np.bool_]
_TINY = 1e-6


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
        """The better of rounding `fraction` [n] and, where there are chains, of diving from it; ties: the former."""
        rounded = self.fill(self.down(fraction))
        if self.program.chains.single or not _fractional(fraction).any():
            return rounded
        dived = self.fill(self.down(self.dive(fraction)))
        return dived if self.worth(dived) > self.worth(rounded) else rounded

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

    def dive(self, fraction: Column) -> Column:
        """Fix the run with the largest fraction: to be served where that can fit, else not; solve again; repeat."""
        p, low, high = self.program, np.zeros(len(fraction)), np.ones(len(fraction))
        order = p.chains.order
        for _ in range(len(fraction)):
            split = _fractional(fraction)
            if not split.any():
                break
            top = fraction[split].max()
            place = int(np.flatnonzero(split[order] & (fraction[order] >= top - WHOLE))[0])
            chain = p.chains.first == p.chains.first[place]
            run = order[chain & (fraction[order] >= top - WHOLE)]  # and whoever is before them
            raised = low.copy()
            raised[run] = 1
            if (raised @ p.cost <= p.supply).all():
                low = raised
            else:
                high[order[chain & (np.arange(len(order)) >= place)]] = 0
            fraction, _ = p.relaxed(low, high)
        return fraction


def _fractional(fraction: Column) -> Served:
    return (fraction > WHOLE) & (fraction < 1 - WHOLE)


def _rounding(uses: Column) -> Column:
    """What differences of sums may be off by [n, K]; whether a run fits is told exactly later."""
    rounding: Column = 1e-12 * np.abs(uses)
    return rounding
