"""The search of Kwon et al. 2022 for units within a budget, where every unit has a cost of its own.

"A Fast Post-Training Pruning Framework for Transformers" (NeurIPS 2022, arXiv 2204.09656), section 4.1.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from walras.mechanisms.solvers.chains import Column, Rows
from walras.mechanisms.solvers.kwon_latency import Keep


@final
@dataclass(frozen=True, eq=False)
class _Line:
    """Units [m] in the order in which they are taken; sums [m + 1] of the first 0, 1, ..., m."""

    order: Rows
    value: Column
    cost: Column

    @staticmethod
    def from_units(units: Rows, rank: Column, values: Column, costs: Column) -> "_Line":
        """Descending by `rank` [m], ties by position."""
        order = units[np.argsort(-rank, kind="stable")]
        value, cost = (np.append(0.0, np.cumsum(column[order])) for column in (values, costs))
        return _Line(order, value, cost)


def kwon_macs_search(values: Column, costs: Column, budget: float) -> Keep:
    """Which units [n] to keep so that their costs add up to at most `budget`.

    Units of equal cost form a class: heads, and FFN blocks. For each number of units of the dearer class, as many of
    the cheaper one as then fit, each class by value over the whole network; the best sum of values wins. That is the
    optimum for two classes, and for three, such as a narrower last block in every layer: each number of the third is
    tried with each of the dearer. Of more classes the two most numerous ones are searched so, the others are taken in
    the order of value per cost, each number of them tried; then the units that still fit are added in that order.

    Ties go to the first one found; with two classes that keeps the fewest of the dearer. Units of no cost are kept,
    those worth less than 0 are not.

    Args:
        values: what each unit is worth; -inf for one that may not stay.
        costs: at least 0.
        budget: at least 0, may be inf.
    """
    keep: Keep = (values >= 0) & (costs == 0)
    trading = np.flatnonzero((values >= 0) & (costs > 0))
    if not len(trading):
        return keep
    classes, of, sizes = np.unique(costs[trading], return_inverse=True, return_counts=True)
    numerous = np.sort(np.lexsort((classes, -sizes))[:2])  # of these the cheaper one comes first
    first, second, others = (trading[of == numerous[0]], trading[of == numerous[-1]], trading[~np.isin(of, numerous)])
    second = second[: len(second) if len(numerous) == 2 else 0]
    cheap = _Line.from_units(first, values[first], values, costs)
    dear = _Line.from_units(second, values[second], values, costs)
    rest = _Line.from_units(others, values[others] / costs[others], values, costs)
    outer, inner = sorted((rest, dear), key=lambda line: len(line.order))
    best, chosen = -1.0, (0, 0, 0)
    for some in range(int((outer.cost <= budget).sum())):
        room = budget - outer.cost[some] - inner.cost
        fits = np.floor(room / classes[numerous[0]]).clip(-1, len(first)).astype(np.int64)
        total = outer.value[some] + np.where(fits >= 0, inner.value + cheap.value[fits], -np.inf)
        many = int(total.argmax())
        if total[many] > best:
            best, chosen = float(total[many]), (some, many, int(fits[many]))
    for line, count in zip((outer, inner, cheap), chosen, strict=True):
        keep[line.order[:count]] = True
    return keep if len(classes) <= 3 else _filled(keep, trading, values, costs, budget)


def _filled(keep: Keep, trading: Rows, values: Column, costs: Column, budget: float) -> Keep:
    """With all further units that fit, the best value per cost first."""
    keep, left = keep.copy(), budget - costs[keep].sum()
    out = trading[~keep[trading]]
    for unit in out[np.argsort(-values[out] / costs[out], kind="stable")].tolist():
        if costs[unit] <= left:
            keep[unit], left = True, left - costs[unit]
    return keep
