"""Running a grid: what is finished is left alone, what fails is recorded, and tables are made of the rest."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import Any, Generic, final

import pandas as pd

from walras.experiments.executors import ExecutorSource, outcomes, parse_executor
from walras.experiments.grids.cell import SEED, Cell, S
from walras.experiments.grids.earlier import adopt_earlier
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.results import damage, fault, finished_cell
from walras.experiments.grids.statistics import Statistics
from walras.experiments.grids.table import RESULT, parquet, schema
from walras.experiments.progress import Progress, Silent, say
from walras.experiments.store.grid_folder import GridFolder
from walras.files.locks import BusyError


@final
@dataclass(frozen=True)
class GridResult(Generic[S]):
    """What a grid came to."""

    grid: Grid[S]
    folder: GridFolder
    table: pd.DataFrame  # a row per finished cell: its labels, its seed, and what its experiment measures
    statistics: Statistics | None  # None where no cell of the reference has finished, or there is no reference
    metric: Mapping[str, Any]  # of the first finished cell: name, and whether higher is better
    about: Mapping[str, Any] = field(default_factory=dict)  # of the first finished cell: its whole result
    failed: Sequence[Cell[S]] = ()  # cells that have not finished


def run_grid(
    grid: Grid[S], folder: GridFolder, executor: Executor | ExecutorSource | str | None = None,
    progress: Progress | None = None,
) -> GridResult[S]:  # fmt: skip
    """Run what is not finished, and write the tables, of what has finished where it is interrupted.

    A cell that fails is recorded with its traceback, and the rest goes on. A damaged file counts as a cell that has
    not finished, and is told. The tables depend on the cells alone: not on the order in which they ran, nor on how
    often the grid was interrupted.
    """
    progress, source = progress or Silent(), parse_executor(executor)
    if unfinished(grid, folder):
        source.check()
    adopted = adopt_earlier(grid.experiment, grid.cells, folder)
    folder.begin(grid)
    if adopted:
        say(progress, f"{adopted} cell(s) of an earlier version are kept")
    for note in (*grid.notes, *filter(None, (damage(grid.experiment, folder, cell) for cell in grid.cells))):
        say(progress, note)
    try:
        run_cells(grid, folder, unfinished(grid, folder), source, progress)
        for cell in grid.cells:
            if finished(grid, folder, cell):
                folder.forget_failure(cell)
    finally:
        found = conclude(grid, folder)
    return found


def run_cells(
    grid: Grid[S], folder: GridFolder, waiting: Sequence[Cell[S]], executor: Executor | ExecutorSource | str | None,
    progress: Progress,
) -> int:  # fmt: skip
    """Run some cells of a grid in the order given, and record those that fail; how many they are."""
    if not waiting:
        say(progress, "All cells are finished")
        return 0
    before = len(grid.cells) - len(waiting)
    bar = progress.add_task(f"Cells, {before} finished before" if before else "Cells", total=len(grid.cells))
    progress.update(bar, completed=before)
    failed, job = 0, SharedJob(grid.experiment, folder.absolute())
    while waiting:
        elsewhere = []
        with closing(outcomes(executor, job, waiting)) as ended:
            for outcome in ended:
                if outcome.error is None and folder.busy(outcome.item):
                    elsewhere.append(outcome.item)
                    continue
                told = _settle(grid, folder, outcome.item, outcome.error)
                failed += folder.failure(outcome.item).is_file()
                progress.update(bar, advance=1, description=told)
        if len(elsewhere) == len(waiting):
            time.sleep(LOOKED)
        waiting = elsewhere
    return failed


LOOKED = 1.0
"""Seconds between two looks at cells that another sweep of the same folder works on."""


@final
@dataclass(frozen=True)
class SharedJob(Generic[S]):
    """The job of a worker where several sweeps may share a folder: what another one has done is not done again.

    A cell that another one works on is left to it.
    """

    experiment: Experiment[S]
    folder: GridFolder

    def __call__(self, cell: Cell[S]) -> None:
        """Do what is left to do of a cell."""
        if not self.folder.busy(cell) and finished_cell(self.experiment, self.folder, cell) is None:
            with suppress(BusyError):  # it was faster by a moment
                self.experiment.job(self.folder)(cell)


def unfinished(grid: Grid[S], folder: GridFolder) -> list[Cell[S]]:
    """Cells that are to be run, those that share a network one after the other."""
    waiting = [cell for cell in grid.cells if not finished(grid, folder, cell)]
    subjects = [grid.experiment.subject(cell.settings) for cell in waiting]
    order = {subject: i for i, subject in enumerate(dict.fromkeys(subjects))}
    return [waiting[i] for i in sorted(range(len(waiting)), key=lambda i: order[subjects[i]])]


def finished(grid: Grid[S], folder: GridFolder, cell: Cell[S]) -> bool:
    """Whether a cell has a result in which all that is read is of its type."""
    return finished_cell(grid.experiment, folder, cell) is not None


def conclude(grid: Grid[S], folder: GridFolder, timed: bool = False) -> GridResult[S]:
    """Write the tables of the finished cells; with the times of their small models, where those are asked for."""
    found = {cell: finished_cell(grid.experiment, folder, cell) for cell in grid.cells}
    sound = [(cell, own) for cell, own in found.items() if own is not None]
    done, results = [cell for cell, _ in sound], [own.result for _, own in sound]
    times = [(folder.timing(cell) or {}) if timed else {} for cell in done]
    places = [{**cell.labels, SEED: cell.seed} for cell in done]
    rows = [
        {**place, **{k: v for k, v in grid.experiment.row(cell, result, timing).items() if k not in place}}
        for place, cell, result, timing in zip(places, done, results, times, strict=True)
    ]
    table = pd.DataFrame(rows, columns=None if rows else [*grid.axes, SEED, *(name for name, _ in RESULT)])
    table = table.astype({name: float for name in table if len(table) and table[name].isna().all()})
    seconds = [
        {**place, "seconds": result.get("seconds"), **timing}
        for place, result, timing in zip(places, results, times, strict=True)
    ]
    statistics = None
    against = grid.against
    if against is not None and any(place[against.axis] == against.label for place in places):
        statistics = Statistics.from_table(table, against, grid.shared_budgets)
    with folder.tables():
        folder.write("frontier.parquet", parquet(table, schema(table, grid.axes)))
        folder.write("frontier.csv", table.to_csv(index=False, float_format="%.8g"))
        folder.write("timings.csv", pd.DataFrame(seconds).to_csv(index=False, float_format="%.6g"))
        if statistics is not None:
            folder.write("statistics.csv", statistics.frame.to_csv(index=False, float_format="%.8g"))
    about = results[0] if results else {}
    failed = [cell for cell, own in found.items() if own is None]
    return GridResult(grid, folder, table, statistics, about.get("metric", {"name": ""}), about, failed)


def reason(error: str) -> str:
    """The last exception of a traceback with its whole message, on one line; of other texts the last line."""
    lines = [line for line in error.splitlines() if line.strip()]
    begin = max((i for i, line in enumerate(lines) if line.startswith("Traceback (most recent")), default=None)
    told = lines[-1:] if begin is None else list(dropwhile(_is_frame, lines[begin + 1 :]))
    text = " ".join(line.strip() for line in told)
    return text.removeprefix("walras.errors.") or "for no reason told"


def _is_frame(line: str) -> bool:
    return line[0].isspace()


def _settle(grid: Grid[S], folder: GridFolder, cell: Cell[S], error: str | None) -> str:
    """Record what became of a cell, and say it in a line."""
    found = finished_cell(grid.experiment, folder, cell) if error is None else None
    if found is not None:
        folder.forget_failure(cell)
        metric = found.result["metric"]
        return f"{cell}: {metric['name']} {metric['value']:.4f} in {found.result['seconds']:.0f} s"
    if error is None:
        wrong = fault(grid.experiment, folder, cell)
        error = f"walras.errors.WalrasError: it left no result that can be read{wrong and f': {wrong}'}\n"
    folder.record_failure(cell, error)
    return f"{cell}: failed, {reason(error)}"
