"""Where two runs of one network differ."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import pandas as pd

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.store.run_folder import is_finished, read_result
from walras.experiments.tracing.query import select
from walras.market import Trace, read_trace
from walras.market.phases.levels.trades_table import read_trades

_COLUMNS = ("price", "used", "welfare")


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as JSON knows them: numbers that are missing or infinite are None.

    The bid of a unit that may not trade is -inf, for one.
    """
    return [
        {str(name): None if isinstance(cell, float) and not math.isfinite(cell) else cell for name, cell in row.items()}
        for row in frame.to_dict("records")
    ]


@final
@dataclass(frozen=True, eq=False)
class TracedRun:
    """The trace of a run, by name.

    `unit` is what its values are counted in, as its result says; empty where it has none, or has not finished.
    `trades` are the meetings of its sub-layers (`trades_table.SCHEMA`); no rows where none traded.
    """

    name: str
    trace: Trace
    unit: str = ""
    finished: bool = True
    trades: pd.DataFrame = field(default_factory=pd.DataFrame)

    @staticmethod
    def read(folder: Path, name: str) -> "TracedRun":
        """The trace in a run's folder; of a run that has finished the files are checked first.

        Raises:
            InputError: no trace there, or a damaged one.
        """
        trace = Trace(read_trace(folder))
        finished = is_finished(folder)
        unit = str(read_result(folder).get("unit", "")) if finished else ""
        return TracedRun(name, trace, unit, finished, read_trades(folder))

    def where(self, condition: str | None) -> "TracedRun":
        """The rows of the trace for which a condition holds; all of them without one.

        Raises:
            InputError: a condition that is none, or that holds of no row.
        """
        if condition is None:
            return self
        rows = select(self.trace.trace, condition)
        if rows.empty:
            raise InputError(f"--where {shown(condition)} holds of no row of {self.name}")
        return replace(self, trace=Trace(rows))


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs of one network, side by side.

    Args:
        first: a run.
        second: another one.
        units: names of the units that are looked at; None for all.

    """

    first: TracedRun
    second: TracedRun
    units: frozenset[str] | None = None

    @cached_property
    def kept(self) -> pd.DataFrame:
        """One row per unit with `funded`: by both runs, by one of them, or by none."""
        both = self.first.trace.against(self.second.trace)
        return both if self.units is None else both[both["agent"].isin(self.units)]

    def check(self) -> None:
        """Refuse runs of different units.

        Raises:
            InputError: as said.
        """
        _ = self.kept

    @property
    def same_unit(self) -> bool:
        """Whether money means the same in both, so that prices and welfare may be compared."""
        return bool(self.first.unit) and self.first.unit == self.second.unit

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row per round that either run has: price, use and, in one unit of value, welfare of each."""
        columns = [name for name in _COLUMNS if name != "welfare" or self.same_unit]
        tables = [run.trace.rounds.set_index("round")[columns] for run in (self.first, self.second)]
        sides = [table.add_suffix(f" {run.name}") for table, run in zip(tables, self._runs, strict=True)]
        both = pd.concat(sides, axis=1).sort_index()
        order = [f"{column} {run.name}" for column in columns for run in self._runs]
        return both[order].reset_index()

    def only(self, which: str) -> list[str]:
        """Names of the units that one of the runs keeps and the other does not: `first only` or `second only`."""
        return [str(name) for name in self.kept.loc[self.kept["funded"] == which, "agent"]]

    def as_json(self) -> dict[str, Any]:
        """Where they differ, as plain data."""
        return {
            "run": self.second.name,
            "first_only": self.only("first only"),
            "second_only": self.only("second only"),
            "unit_of_value": self.first.unit if self.same_unit else None,
            "rounds": plain_rows(self.rounds),
        }

    @property
    def _runs(self) -> tuple[TracedRun, TracedRun]:
        return self.first, self.second
