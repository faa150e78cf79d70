"""The search of Kwon et al. 2022 for units within a latency, where sub-layers have a fixed cost.

"A Fast Post-Training Pruning Framework for Transformers" (NeurIPS 2022, arXiv 2204.09656), section 4.1. The published
code carries what one choice of dropped layers has spent over to the next; here every choice starts from the budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError

Column = NDArray[np.float64]
Keep = NDArray[np.bool_]


@final
@dataclass(frozen=True)
class StepFit:
    """Latency of a sub-layer of n units: 0 for none, `base` up to `threshold` units, `slope` for each further one."""

    threshold: int
    base: float
    slope: float

    def __post_init__(self) -> None:
        sound = 0 <= self.base < np.inf and 0 <= self.slope < np.inf
        if not (sound and isinstance(self.threshold, int) and self.threshold >= 1):
            raise InputError(f"{self} must have a threshold of at least 1, and a base and a slope of at least 0")

    def __call__(self, count: int) -> float:
        """Latency of `count` units."""
        return self.base + self.slope * max(0, count - self.threshold) if count > 0 else 0.0


def fit_steps(times: Column) -> StepFit:
    """The nearest `StepFit` to measured `times` [n] of 1 to n units: lat(n) = c up to T units, c + a (n - T) beyond.

    For every T the least squares c and a, neither below 0; the T with the smallest squared error, the largest of
    several (Kwon et al. 2022, section 4.1).

    Raises:
        InputError: no times, or times that are not finite or below 0.
    """
    times = np.asarray(times, dtype=np.float64)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (times < 0).any():
        raise InputError(f"times are {times.tolist()}; they must be one or more finite numbers of at least 0")
    counts, fits = np.arange(1, len(times) + 1), []
    for threshold in range(len(times), 0, -1):
        beyond = np.maximum(counts - threshold, 0).astype(np.float64)
        base, slope = times.mean(), 0.0
        if beyond.any():
            spread = beyond - beyond.mean()
            slope = max(0.0, float(spread @ times / (spread @ spread)))
            base = times.mean() - slope * beyond.mean()
            if base < 0:
                base, slope = 0.0, float(beyond @ times / (beyond @ beyond))
        error = float(np.square(base + slope * beyond - times).sum())
        fits.append((error, StepFit(threshold, float(base), slope)))
    least = min(error for error, _ in fits)
    return next(fit for error, fit in fits if error <= least + 1e-12 * float(times @ times))


@final
@dataclass(frozen=True, eq=False)
class _Kind:
    """Units of one kind: values [n], layers [n], and what their sub-layers cost."""

    value: Column
    layer: NDArray[np.int64]
    fit: StepFit
    place: NDArray[np.int64]  # among all units

    def tops(self) -> list[tuple[float, int, list[int]]]:
        """Sub-layers by ascending value of their `threshold` best units, with these; ties by layer."""
        tops = []
        for layer in np.unique(self.layer).tolist():
            members = np.flatnonzero(self.layer == layer)
            best = members[np.argsort(-self.value[members], kind="stable")][: self.fit.threshold]
            tops.append((float(self.value[best].sum()), layer, best.tolist()))
        return sorted(tops, key=lambda top: top[:2])

    def choices(self) -> list[tuple[float, Column, NDArray[np.int64], list[int]]]:
        """For each number of dropped sub-layers: cost, running value of further units, these, and the free ones."""
        tops, choices = self.tops(), []
        for dropped in range(len(tops) + 1):
            kept = tops[dropped:]
            free = [unit for _, _, best in kept for unit in best]
            further = np.isin(self.layer, [layer for _, layer, _ in kept])
            further[free] = False
            order = np.flatnonzero(further)
            order = order[np.argsort(-self.value[order], kind="stable")]
            running = np.append(0.0, np.cumsum(self.value[order]))
            choices.append((self.fit.base * len(kept), running, order, free))
        return choices


def kwon_latency_search(
    values: Column, kinds: NDArray[np.int64], layers: NDArray[np.int64], fits: Sequence[StepFit], budget: float
) -> Keep:
    """Which units [n] to keep so that the sub-layers' latencies add up to at most `budget`.

    For each pair of numbers of dropped attention and FFN sub-layers, dropped by ascending value of their best units up
    to the threshold: pay the base of every kept sub-layer, keep its best units up to the threshold, and spend the rest
    of the budget at the two slopes: for each number of further heads, as many further FFN units as then fit, each
    kind by value over the whole network. The pair with the highest sum of values wins; ties: the first, which drops
    fewest.

    Args:
        values: what each unit is worth, at least 0.
        kinds: index into `fits` of each unit; heads are 0 and FFN units 1, say.
        layers: number of each unit's sub-layer, or of its layer: units of two kinds are never in one sub-layer.
        fits: latency of a sub-layer of each kind by its number of units; one or two.
        budget: in the unit of the fits.

    Raises:
        InputError: columns of unequal length, an unknown kind, values below 0 or not finite, or a budget below 0.
    """
    if len(fits) not in (1, 2):
        raise InputError(f"there are {len(fits)} fits; the search takes one or two")
    if not (len(values) == len(kinds) == len(layers)) or not np.isin(kinds, range(len(fits))).all():
        raise InputError(f"values, kinds and layers must be equally long, and kinds from 0 to {len(fits) - 1}")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError("values must be finite numbers of at least 0")
    if not budget >= 0:
        raise InputError(f"budget is {budget}; it must be a number of at least 0")
    places = np.flatnonzero(kinds == 0), np.flatnonzero(kinds == 1)
    heads, ffn = (_Kind(values[p], layers[p], fit, p) for p, fit in zip(places, (fits[0], fits[-1]), strict=True))
    best, keep = -1.0, np.zeros(len(values), dtype=bool)
    for base_heads, run_heads, order_heads, free_heads in heads.choices():
        for base_ffn, run_ffn, order_ffn, free_ffn in ffn.choices():
            left = budget - base_heads - base_ffn
            if left < -_slack(budget):
                continue
            counts = np.arange(len(run_heads))
            rest: Column = left - counts.astype(np.float64) * heads.fit.slope
            further = _affordable(rest, ffn.fit.slope, len(order_ffn), budget)
            total = np.where(further >= 0, run_heads + run_ffn[np.maximum(further, 0)], -np.inf)
            total += heads.value[free_heads].sum() + ffn.value[free_ffn].sum()
            count = int(total.argmax())
            if total[count] > best:
                best = float(total[count])
                keep = np.zeros(len(values), dtype=bool)
                keep[heads.place[[*free_heads, *order_heads[:count]]]] = True
                keep[ffn.place[[*free_ffn, *order_ffn[: further[count]]]]] = True
    return keep


def _affordable(rest: Column, slope: float, most: int, budget: float) -> NDArray[np.int64]:
    """How many units of `slope` each rest [m] of the budget pays for, at most `most`; -1 where it is overspent."""
    slack = _slack(budget)
    many = np.full(len(rest), most) if slope == 0 else np.floor((rest + slack) / slope).clip(max=most)
    affordable: NDArray[np.int64] = np.where(rest >= -slack, many, -1).astype(np.int64)
    return affordable


def _slack(budget: float) -> float:
    """What sums may exceed the budget by rounding alone."""
    return 1e-12 * budget
