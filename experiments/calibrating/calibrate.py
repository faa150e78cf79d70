"""A search whose evaluations are cells of a grid: kept, resumed after a kill, and run by any executor."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from typing import Any, final

import pandas as pd

from walras.errors import InputError, WalrasError
from walras.experiments.calibrating.search import EVERYWHERE, FOUND, NOWHERE, RAN_OUT, Found, Search
from walras.experiments.calibrating.target import Target
from walras.experiments.designs.factors import Range
from walras.experiments.executors import ExecutorSource
from walras.experiments.grids.cell import S, shown
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, finished, reason, run_grid
from walras.experiments.grids.statistics import Interval
from walras.experiments.progress import Progress, Silent, say
from walras.experiments.store.grid_folder import GridFolder
from walras.files.plain_data import write_json

MakeGrid = Callable[[Sequence[int | float]], "Grid[S]"]


@final
@dataclass(frozen=True)
class Calibration:
    """What a search came to.

    Attributes:
        setting: what was sought.
        value: the best one that was tried.
        status: "found"; "everywhere" where the target holds at both ends of the range, and "nowhere" where it holds in
            none of the places that were tried: then it lies outside the range. "out of runs" where the search was cut.
        target: what was asked for.
        level: the number that it came to.
        figure: mean over seeds at that value, and its interval.
        neighbour: the nearest value on the other side of the target; None where there is none.
        tried: every value with its figure, in order.
        cells: runs that it took, over all seeds.
        kept: those of them that an earlier search had left.
    """

    setting: str
    value: int | float
    status: str
    target: str
    level: float
    figure: Interval
    neighbour: int | float | None
    tried: Sequence[tuple[int | float, float]]
    cells: int
    kept: int
    table: pd.DataFrame = field(repr=False, compare=False)

    @property
    def message(self) -> str:
        """It in two or three sentences."""
        place = f"{self.setting} {shown(self.value)}"
        seeds = f"over {self.figure.count} seeds" if self.figure.count > 1 else "one seed, so without an interval"
        there = f"There {re.split('[<>=]', self.target)[0]} is {self.figure} ({seeds})."
        wanted = f"{self.target} (that is {self.level:.4g})"
        ends = {
            FOUND: f"{wanted}: {place}.",
            EVERYWHERE: f"{wanted} holds at both ends of the range, so that its boundary, if there is one, lies "
            f"outside: {place}.",
            NOWHERE: f"{wanted} was reached nowhere: as far as was seen, it lies outside the range. "
            f"Nearest is {place}.",
            RAN_OUT: f"{wanted} was not found to the tolerance in {len(self.tried)} values. Best so far is {place}.",
        }
        beyond = "" if self.neighbour is None else f" On the other side lies {shown(self.neighbour)}."
        cost = f"{len(self.tried)} values were tried in {self.cells} runs, of which {self.kept} were there already."
        return f"{ends[self.status]} {there}{beyond} {cost}"

    def as_dict(self) -> dict[str, Any]:
        """As `calibration.json` has it."""
        own = {name: value for name, value in vars(self).items() if name not in ("table", "figure", "tried")}
        tried = [{"value": value, "figure": figure} for value, figure in self.tried]
        return {**own, "figure": asdict(self.figure), "tried": tried, "message": self.message}


def search_cells(
    make_grid: "MakeGrid[S]", over: Range, target: Target, folder: GridFolder, *, tolerance: float = 0.01,
    runs: int = 20, executor: Executor | ExecutorSource | str | None = None, progress: Progress | None = None,
) -> tuple[Calibration, GridResult[S]]:  # fmt: skip
    """Find the value of a setting at which a figure meets a target.

    Args:
        make_grid: cells for values of the setting, with all seeds.
        over: the setting and its range.
        target: what is aimed at.
        folder: where cells are kept; finished ones are not run again.
        tolerance: share of the range, on its scale, to which the value is found.
        runs: values that are tried at most.
        executor: where cells run.
        progress: is told of every value.

    Raises:
        InputError: a tolerance or number of runs that is none.
        WalrasError: a cell failed, or does not measure the figure.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must be a share of the range, above 0 and below 1")
    if runs < 3:
        raise InputError(f"runs is {runs}; it must be a whole number of at least 3: both ends, and one between")
    figures = _Figures(make_grid, over, target, folder, executor, progress or Silent())
    search = Search(figures.gaps, target, figures.middle, tolerance, runs)
    found = search.find()
    result = figures.told(found)
    with folder.tables():
        folder.write("calibration.json", write_json(result.as_dict()))
    assert figures.result is not None
    return result, figures.result


@final
class _Figures:
    """Figures at places of the range, from cells."""

    def __init__(
        self, make_grid: "MakeGrid[Any]", over: Range, target: Target, folder: GridFolder,
        executor: Executor | ExecutorSource | str | None, progress: Progress,
    ) -> None:  # fmt: skip
        self._make, self._over, self._target, self._folder = make_grid, over, target, folder
        self._executor, self._progress = executor, progress
        self._at: dict[int | float, Interval] = {}
        self._cells = self._kept = 0
        self._level = 0.0
        self.result: GridResult[Any] | None = None

    def middle(self, one: float, other: float) -> float | None:
        """The place half way; None where whole numbers leave none between two places."""
        half = (one + other) / 2
        if self._over.whole and self._over.at(half) in (self._over.at(one), self._over.at(other)):
            low, high = sorted((self._over.at(one), self._over.at(other)))
            return None if high - low < 2 else self._place((low + high) // 2)
        return half

    def _place(self, value: float) -> float:
        return (value - self._over.low) / (self._over.high - self._over.low)

    def gaps(self, places: Sequence[float]) -> list[float]:
        """The figure minus its level at some places."""
        values = [self._over.at(place) for place in places]
        new = [value for value in dict.fromkeys(values) if value not in self._at]
        if new:
            self._run(new)
        return [self._at[value].mean - self._level for value in values]

    def _run(self, new: Sequence[int | float]) -> None:
        grid = self._make(sorted([*self._at, *new]))
        fresh = [cell for cell in grid.cells if cell[self._over.name] in new]
        self._cells += len(fresh)
        self._kept += sum(finished(grid, self._folder, cell) for cell in fresh)
        found = self.result = run_grid(grid, self._folder, self._executor, self._progress)
        if found.failed:
            why = reason(found.folder.failure(found.failed[0]).read_text(encoding="utf-8"))
            raise WalrasError(f"the search cannot go on, because {found.failed[0]} failed: {why}")
        column = self._target.column
        if column not in found.table or found.table[column].isna().any():
            raise WalrasError(f"target {self._target} cannot be followed: runs do not measure {self._target.output}")
        self._level = self._target.level(float(found.table["dense"].mean()))
        for value in new:
            own = Interval.from_sample(found.table.loc[found.table[self._over.name] == value, column].to_numpy())
            assert own is not None  # no cell failed
            self._at[value] = own
            say(self._progress, f"{self._over.name} {shown(value)}: {self._target.output} {own}")

    def told(self, found: Found) -> Calibration:
        """The search's end in values of the setting."""
        assert self.result is not None
        best = self._over.at(found.best.at)
        return Calibration(
            self._over.name, best, found.status, str(self._target), self._level, self._at[best],
            None if found.other is None else self._over.at(found.other.at),
            [(value, self._at[value].mean) for value in sorted(self._at)], self._cells, self._kept, self.result.table,
        )  # fmt: skip
