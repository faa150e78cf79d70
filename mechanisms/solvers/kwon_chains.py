"""Kwon's latency search on chains: the costs along a chain are the increments of its time."""

from collections.abc import Sequence

import numpy as np

from walras.mechanisms.solvers.chains import Column
from walras.mechanisms.solvers.kwon_latency import Keep, StepFit, fit_steps, kwon_latency_search

_ALIKE = 0.01
"""Curves of one kind differ by at most this share of their largest time."""
_HALVINGS = 24


def kwon_chain_search(spans: Sequence[tuple[int, int]], value: Column, cost: Column, supply: float) -> Keep:
    """Which units [n] to serve so that what they cost along their chains is at most `supply`.

    1. The running sum of the costs of a chain is its time curve. Chains whose curves agree as far as both go are of
       one kind (attention, FFN); of more than two kinds the nearest are taken together.
    2. Fit Kwon's model (`fit_steps`) to the mean curve of each kind, and search (`kwon_latency_search`).
    3. The fit is an approximation. Where the true cost of the result exceeds the supply, the search gets a smaller
       budget, by bisection, until it fits. Supply that is left by a fit above the true times stays unsold.

    Values are taken to fall along each chain, as the market ranks units: as many as the search finds are served from
    the chain's beginning.

    Args:
        spans: where each chain begins and ends; units outside of them are not served.
        value: what each unit is worth, at least 0.
        cost: what it adds if all before it are served, at least 0.
        supply: at least 0, less than all units cost.
    """
    spans = [(a, b) for a, b in spans if b > a]
    nothing = np.zeros(len(value), dtype=bool)
    if not spans:
        return nothing
    curves = [np.cumsum(cost[a:b]) for a, b in spans]
    kind = kinds(curves)
    fits = [fit_of([curves[chain] for chain in np.flatnonzero(kind == k)]) for k in range(kind.max() + 1)]
    units = np.concatenate([np.arange(a, b) for a, b in spans])
    chain = np.repeat(np.arange(len(spans)), [b - a for a, b in spans])

    def searched(budget: float) -> Keep:
        keep = kwon_latency_search(value[units], kind[chain], chain, fits, budget)
        served = nothing.copy()
        for (a, _), count in zip(spans, np.bincount(chain[keep], minlength=len(spans)).tolist(), strict=True):
            served[a : a + count] = True
        return served

    served = searched(supply)
    if cost[served].sum() <= supply:
        return served
    best, low, high = nothing, 0.0, supply
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        served = searched(middle)
        if cost[served].sum() > supply:
            high = middle
            continue
        low = middle
        if value[served].sum() > value[best].sum():
            best = served
    return best


def kinds(curves: Sequence[Column]) -> np.ndarray:
    """A number from 0 to 1 for each curve, equal for curves of one kind.

    A curve joins the first kind whose longest curve it resembles; longer ones go first. Then, while there are more
    than two kinds, the two that differ least become one.
    """
    groups: list[list[int]] = []
    for chain in sorted(range(len(curves)), key=lambda c: -len(curves[c])):
        alike = (g for g in groups if distance(curves[g[0]], curves[chain]) <= _ALIKE)
        group = next(alike, None)
        if group is None:
            groups.append([chain])
        else:
            group.append(chain)
    while len(groups) > 2:
        pairs = [(i, j) for j in range(len(groups)) for i in range(j)]
        i, j = min(pairs, key=lambda pair: distance(curves[groups[pair[0]][0]], curves[groups[pair[1]][0]]))
        groups[i] += groups.pop(j)  # i < j: the longest curve stays in front
    kind = np.zeros(len(curves), dtype=np.int64)
    for k, group in enumerate(groups):
        kind[group] = k
    return kind


def distance(one: Column, other: Column) -> float:
    """How far two curves are apart where both go, as a share of the largest time there."""
    n = min(len(one), len(other))
    largest = max(one[:n].max(), other[:n].max())
    return float(np.abs(one[:n] - other[:n]).max() / largest) if largest > 0 else 0.0


def fit_of(curves: Sequence[Column]) -> StepFit:
    """Kwon's model of the mean curve; at each number of units, of those that have as many."""
    padded = np.full((len(curves), max(len(curve) for curve in curves)), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve
    return fit_steps(np.nanmean(padded, axis=0))
