"""The table of a comparison and its statistics: means over seeds, paired differences, and how sure they are.

Seeds are draws of the calibration data. Cells of the same seed share their draw, so recipes are compared seed by seed:
the differences vary less than the values do. Intervals are Student's, 95 %, each by itself (no correction for how many
there are; their number is told). Over all budgets, a seed counts with its mean over the budgets, because the budgets
of one seed share the draw as well and are no further observations.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike
from scipy.stats import t

from walras.errors import UnknownNameError

SCHEMA = pa.schema(
    [
        ("recipe", pa.string()),
        ("budget", pa.float64()),  # share of the dense model's compute
        ("seed", pa.int64()),
        ("macs", pa.float64()),  # of the small model's layers, for one sequence
        ("parameters", pa.int64()),  # of the whole small model
        ("latency_ms", pa.float64()),  # of a batch; null where it was not measured
        ("value", pa.float64()),  # the task's metric of the small model
        ("dense", pa.float64()),  # and of the dense one
    ]
)
LEVEL = 0.95


def parquet(table: pd.DataFrame) -> bytes:
    """The table as a parquet file; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False).replace_schema_metadata(), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@final
@dataclass(frozen=True)
class Interval:
    """A mean of `count` observations and its 95 % interval, which takes two observations at least."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @staticmethod
    def of(sample: ArrayLike) -> "Interval | None":
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
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} ± {(self.high - self.low) / 2:.4f}"


@final
@dataclass(frozen=True)
class Statistic:
    """A recipe at one budget: its values, and how far they lie above the reference's.

    Budget None stands for the mean over all budgets that are shared; there is one where these are several.
    """

    recipe: str
    budget: float | None
    value: Interval | None
    difference: Interval | None  # paired by seed; None of the reference itself

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
            "recipe": self.recipe, "budget": self.budget, "seeds": value["count"],
            "mean": value["mean"], "low": value["low"], "high": value["high"],
            "pairs": difference["count"], "difference": difference["mean"],
            "difference_low": difference["low"], "difference_high": difference["high"],
        }  # fmt: skip


@final
@dataclass(frozen=True)
class Statistics:
    """All recipes at all budgets, each against the reference."""

    against: str
    rows: Sequence[Statistic]
    left_out: Sequence[float] = ()  # budgets that do not count in the mean over all

    @staticmethod
    def of(table: pd.DataFrame, against: str, shared: Collection[float] | None = None) -> "Statistics":
        """Statistics of a table in the columns of `SCHEMA`; recipes and budgets in its order.

        Cells that are missing (failed, say) leave their seed out where they would count: out of their recipe's mean
        and interval, out of the differences, and out of both over all budgets.

        Args:
            table: a row a cell.
            against: the reference.
            shared: budgets that were to be run for every recipe, which alone count in the mean over all; by default
                those of the table.

        Raises:
            UnknownNameError: no rows of the reference.
        """
        recipes, budgets = table["recipe"].unique().tolist(), table["budget"].unique().tolist()
        if against not in recipes:
            raise UnknownNameError("recipe to compare against", against, recipes)
        values = table.pivot(index="seed", columns=["recipe", "budget"], values="value").sort_index()
        among = budgets if shared is None else [budget for budget in budgets if budget in shared]
        rows = []
        for budget in [*budgets, *([None] if len(among) > 1 else [])]:
            by_seed = {r: _of_budget(values, r, among if budget is None else [budget]) for r in recipes}
            for recipe in recipes:
                apart = None if recipe == against else Interval.of((by_seed[recipe] - by_seed[against]).dropna())
                rows.append(Statistic(recipe, budget, Interval.of(by_seed[recipe].dropna()), apart))
        return Statistics(against, rows, [budget for budget in budgets if budget not in among])

    @property
    def comparisons(self) -> int:
        """How many differences there are, each with an interval of its own."""
        return sum(s.difference is not None for s in self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """A row a statistic; budget is NaN over all budgets."""
        return pd.DataFrame([s.row() for s in self.rows])

    def at(self, recipe: str, budget: float | None) -> Statistic:
        """Of one recipe at one budget, or over all (None)."""
        return next(s for s in self.rows if (s.recipe, s.budget) == (recipe, budget))

    def caution(self) -> str:
        """What has to be known to read the intervals, in a sentence."""
        if all(s.value is None or s.value.count < 2 for s in self.rows):
            return "One seed a cell: no intervals, and no telling a difference from chance. Give --seeds 5."
        several = f"{self.comparisons} comparison{'s' * (self.comparisons != 1)} with {self.against}"
        left = ", ".join(f"{budget:g}" for budget in self.left_out)
        note = f" Not every recipe has {left}, which the mean over all leaves out." if left else ""
        return f"95 % intervals over seeds, differences paired by seed; {several}, each interval by itself.{note}"


def _of_budget(values: pd.DataFrame, recipe: str, budgets: Sequence[float]) -> "pd.Series[float]":
    """Mean [seeds] of a recipe's values over the budgets; NaN where one is missing."""
    wanted = values.reindex(columns=pd.MultiIndex.from_product([[recipe], budgets]))
    return wanted.mean(axis="columns", skipna=False)
