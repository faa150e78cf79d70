"""The search of Kwon et al. 2022 for units within a latency, where sub-layers have a fixed cost.

"A Fast Post-Training Pruning Framework for Transformers" (NeurIPS 2022, arXiv 2204.09656), section 4.1. The published
code carries what one choice of dropped layers has spent over to the next; here every choice starts from the budget.
"""

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
        found = []
        for layer in np.unique(self.layer).tolist():
            members = np.flatnonzero(self.layer == layer)
            best = members[np.argsort(-self.value[members], kind="stable")][: self.fit.threshold]
            found.append((float(self.value[best].sum()), layer, best.tolist()))
        return sorted(found, key=lambda top: top[:2])

    def choices(self) -> list[tuple[float, Column, NDArray[np.int64], list[int]]]:
        """For each number of dropped sub-layers: cost, running value of further units, these, and the free ones."""
        tops, found = self.tops(), []
        for dropped in range(len(tops) + 1):
            kept = tops[dropped:]
            free = [unit for _, _, best in kept for unit in best]
            further = np.isin(self.layer, [layer for _, layer, _ in kept])
            further[free] = False
            order = np.flatnonzero(further)
            order = order[np.argsort(-self.value[order], kind="stable")]
            running = np.append(0.0, np.cumsum(self.value[order]))
            found.append((self.fit.base * len(kept), running, order, free))
        return found


def kwon_latency_search(
    values: Column,
    kinds: NDArray[np.str_],
    layers: NDArray[np.int64],
    fit_heads: StepFit,
    fit_ffn: StepFit,
    budget: float,
) -> Keep:
    """Which units [n] to keep so that the sub-layers' latencies add up to at most `budget`.

    For each pair of numbers of dropped attention and FFN sub-layers, dropped by ascending value of their best units up
    to the threshold: pay the base of every kept sub-layer, keep its best units up to the threshold, and spend the rest
    of the budget at the two slopes: for each number of further heads, as many further FFN units as then fit, each
    kind by value over the whole network. The pair with the highest sum of values wins; ties: the first, which drops
    fewest.

    Args:
        values: what each unit is worth, at least 0.
        kinds: "head" or "ffn".
        layers: layer of each unit.
        fit_heads, fit_ffn: latency of a sub-layer by its number of units.
        budget: in the unit of the fits.

    Raises:
        InputError: columns of unequal length, an unknown kind, values below 0 or not finite, or a budget below 0.
    """
    if not (len(values) == len(kinds) == len(layers)) or not np.isin(kinds, ["head", "ffn"]).all():
        raise InputError("values, kinds and layers must be equally long, and kinds 'head' or 'ffn'")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError("values must be finite numbers of at least 0")
    if not budget >= 0:
        raise InputError(f"budget is {budget}; it must be a number of at least 0")
    heads, ffn = (
        _Kind(values[place], layers[place], fit, place)
        for fit, place in ((fit_heads, np.flatnonzero(kinds == "head")), (fit_ffn, np.flatnonzero(kinds == "ffn")))
    )
    best, keep = -1.0, np.zeros(len(values), dtype=bool)
    for base_heads, run_heads, order_heads, free_heads in heads.choices():
        for base_ffn, run_ffn, order_ffn, free_ffn in ffn.choices():
            left = budget - base_heads - base_ffn
            if left < -_slack(budget):
                continue
            counts = np.arange(len(run_heads))
            rest: Column = left - counts.astype(np.float64) * fit_heads.slope
            further = _affordable(rest, fit_ffn.slope, len(order_ffn), budget)
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
    found: NDArray[np.int64] = np.where(rest >= -slack, many, -1).astype(np.int64)
    return found


def _slack(budget: float) -> float:
    """What sums may exceed the budget by rounding alone."""
    return 1e-12 * budget
