"""Statistics of a grid's table: means over seeds, paired differences to a reference, and how sure they are.

Seeds are draws of the calibration data. Cells of the same seed share their draw, so values on the reference's axis are
compared seed by seed, all other axes alike: the differences vary less than the values do. Intervals are Student's,
95 %, each by itself (no correction for how many there are; their number is told). Over all budgets, a seed counts with
its mean over the budgets, because the budgets of one seed share the draw as well and are no further observations.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t

from walras.errors import UnknownNameError
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.cell import BUDGET, SEED, shown
from walras.experiments.grids.table import axes_of
from walras.experiments.reports.numbers import quality

LEVEL = 0.95


@final
@dataclass(frozen=True)
class Interval:
    """A mean of `count` observations and its 95 % interval, which takes two observations at least."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @staticmethod
    def from_sample(sample: ArrayLike) -> "Interval | None":
        """Student's interval of a sample [n]; None of an empty one."""
        x = np.asarray(sample, dtype=np.float64)
        if len(x) == 0:
            return None
        mean = float(x.mean())
        if len(x) == 1:
            return Interval(mean, None, None, 1)
        half = float(t.ppf((1 + LEVEL) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
        return Interval(mean, mean - half, mean + half, len(x))

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return quality(self.mean)
        return f"{quality(self.mean)} ± {quality((self.high - self.low) / 2)}"


@final
@dataclass(frozen=True)
class Statistic:
    """One combination of labels: its values, and how far they lie above those of the reference.

    Budget None stands for the mean over all budgets that are shared; there is one where these are several.
    """

    labels: Mapping[str, Any] = field(hash=False)
    value: Interval | None
    difference: Interval | None  # paired by seed; None of the reference itself

    @property
    def budget(self) -> Any:
        """The label on the axis of budgets; None over all, and where there is no such axis."""
        return self.labels.get(BUDGET)

    @property
    def series(self) -> tuple[Any, ...]:
        """The labels on the other axes."""
        return tuple(label for name, label in self.labels.items() if name != BUDGET)

    @property
    def verdict(self) -> str:
        """Whether the difference's interval excludes 0, and on which side it lies; empty without an interval."""
        apart = self.difference
        if apart is None or apart.low is None or apart.high is None:
            return ""
        return "below" if apart.high < 0 else "above" if apart.low > 0 else "not told apart"

    def row(self) -> dict[str, Any]:
        """Flat, for tables."""
        empty = {"mean": None, "low": None, "high": None, "count": 0}
        value, difference = (asdict(i) if i else empty for i in (self.value, self.difference))
        return {
            **self.labels, "seeds": value["count"],
            "mean": value["mean"], "low": value["low"], "high": value["high"],
            "pairs": difference["count"], "difference": difference["mean"],
            "difference_low": difference["low"], "difference_high": difference["high"],
        }  # fmt: skip


@final
@dataclass(frozen=True)
class Statistics:
    """All combinations of labels, each against the one that has the reference's value and is otherwise the same."""

    against: Reference
    rows: Sequence[Statistic]
    left_out: Sequence[Any] = ()  # budgets that do not count in the mean over all

    @staticmethod
    def from_table(table: pd.DataFrame, against: Reference, shared: Collection[Any] | None = None) -> "Statistics":
        """Statistics of a table whose columns before `seed` are its axes; labels in its order.

        Cells that are missing (failed, say) leave their seed out where they would count: out of the mean and interval
        of their combination, out of the differences, and out of both over all budgets.

        Args:
            table: a row per cell.
            against: the reference.
            shared: budgets that were to be run for every combination, which alone count in the mean over all; by
                default those of the table.

        Raises:
            UnknownNameError: no such axis, or no rows of the reference.
        """
        labels = {name: table[name].unique().tolist() for name in axes_of(table)}
        if against.axis not in labels:
            raise UnknownNameError("axis to compare along", against.axis, labels)
        if against.label not in labels[against.axis]:
            known = [shown(label) for label in labels[against.axis]]
            raise UnknownNameError(f"{against.axis} to compare against", shown(against.label), known)
        samples = _Samples(table, list(labels))
        budgets = labels.pop(BUDGET, [])
        among = budgets if shared is None else [budget for budget in budgets if budget in shared]
        overall = [None] if len(among) > 1 and against.axis != BUDGET else []
        rows = []
        for budget in [*budgets, *overall] or [None]:
            for combination in product(*labels.values()):
                own = dict(zip(labels, combination, strict=True))
                counted = {BUDGET: among if budget is None else [budget]} if budgets else {}
                value = samples.mean_over({**{name: [label] for name, label in own.items()}, **counted})
                place = {name: own.get(name, budget) for name in axes_of(table)}
                apart = None
                if place[against.axis] != against.label:
                    reference = {name: [label] for name, label in own.items()} | counted
                    apart = Interval.from_sample(
                        (value - samples.mean_over({**reference, against.axis: [against.label]})).dropna()
                    )
                rows.append(Statistic(place, Interval.from_sample(value.dropna()), apart))
        return Statistics(against, rows, [budget for budget in budgets if budget not in among])

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(self.rows[0].labels)

    @property
    def series(self) -> list[tuple[Any, ...]]:
        """Combinations of labels on all axes but that of budgets, in order."""
        return list(dict.fromkeys(found.series for found in self.rows))

    @property
    def budgets(self) -> list[Any]:
        """Labels on the axis of budgets, in order; last None, where there is a mean over all."""
        return list(dict.fromkeys(found.budget for found in self.rows))

    @property
    def comparisons(self) -> int:
        """How many differences there are, each with an interval of its own."""
        return sum(s.difference is not None for s in self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """A row per statistic; budget is NaN over all budgets."""
        return pd.DataFrame([s.row() for s in self.rows])

    def at(self, *labels: Any) -> Statistic:
        """Of one combination of labels, in the order of the axes; None for the mean over all budgets."""
        return next(s for s in self.rows if tuple(s.labels.values()) == labels)

    def of_series(self, series: tuple[Any, ...], budget: Any) -> Statistic:
        """Of a combination of labels on the other axes, at a budget."""
        return next(s for s in self.rows if (s.series, s.budget) == (series, budget))

    def is_reference(self, series: tuple[Any, ...]) -> bool:
        """Whether a combination has the reference's value."""
        names = [name for name in self.axes if name != BUDGET]
        return self.against.axis in names and series[names.index(self.against.axis)] == self.against.label

    def caution(self) -> str:
        """What has to be known to read the intervals, in a sentence."""
        if all(s.value is None or s.value.count < 2 for s in self.rows):
            return "One seed per cell: no intervals, and no telling a difference from chance. Give --seeds 5."
        fewest = min(s.value.count for s in self.rows if s.value is not None)
        few = (
            f" {fewest} seeds are few: intervals are wide, and one that excludes 0 may do so by chance."
            if fewest < 4
            else ""
        )
        several = f"{self.comparisons} comparison{'s' * (self.comparisons != 1)} with {self.against}"
        left = ", ".join(shown(budget) for budget in self.left_out)
        note = f" Not everything was run at {left}, which the mean over all leaves out." if left else ""
        return f"95 % intervals over seeds, differences paired by seed; {several}, each interval by itself.{note}{few}"


@final
class _Samples:
    """The values of every combination of labels by seed."""

    def __init__(self, table: pd.DataFrame, axes: Sequence[str]) -> None:
        self.axes = axes
        self.seeds = sorted(table[SEED].unique().tolist())
        self._by_cell: dict[tuple[Any, ...], dict[int, float]] = {}
        for row in table[[*axes, SEED, "value"]].itertuples(index=False):
            *labels, seed, value = row
            self._by_cell.setdefault(tuple(labels), {})[seed] = value

    def mean_over(self, labels: Mapping[str, Sequence[Any]]) -> "pd.Series[float]":
        """Mean [seeds] over the combinations of these labels; NaN where one of them is missing."""
        columns = [
            [self._by_cell.get(place, {}).get(seed, np.nan) for seed in self.seeds]
            for place in product(*(labels[name] for name in self.axes))
        ]
        return pd.DataFrame(dict(enumerate(columns)), index=self.seeds).mean(axis="columns", skipna=False)
