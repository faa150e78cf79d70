"""Comparing runs: a grid from its cells to its tables, picture and report, and what scripts get of it."""

from concurrent.futures import Executor
from typing import Any

from walras.experiments.designs.sensitivity import sensitivity_of
from walras.experiments.executors import ExecutorSource
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, conclude, run_grid
from walras.experiments.grids.timings import measure
from walras.experiments.progress import Progress, Silent
from walras.experiments.reports.grids.frontier_report import write_frontier_report
from walras.experiments.reports.grids.sensitivity_report import write_sensitivity
from walras.experiments.spec import RunSpec
from walras.experiments.store.grid_folder import GridFolder


def compare(
    grid: Grid[RunSpec],
    folder: GridFolder,
    executor: Executor | ExecutorSource | str | None = None,
    progress: Progress | None = None,
    latency: bool = False,
) -> GridResult[RunSpec]:
    """Run what is not finished; write tables, picture and report; then measure times, and write all of it again.

    Times are measured when all cells are done, because workers would disturb them, and come after a whole report.
    """
    progress = progress or Silent()
    found = run_grid(grid, folder, executor, progress)
    _write_report(found)
    if latency:
        measure([cell for cell in grid.cells if cell not in found.failed], folder, progress)
        found = conclude(grid, folder, timed=True)
        _write_report(found)
    return found


def _write_report(found: GridResult[Any]) -> None:
    """A grid's picture and differences; of the sample of a design, what the settings do to its outputs."""
    if not found.folder.kept:
        return
    if found.grid.sample is None:
        write_frontier_report(found)
    else:
        write_sensitivity(found)


def as_json(found: GridResult[Any]) -> dict[str, Any]:
    """What `walras compare --json` prints."""
    statistics = found.statistics
    return {
        "out": str(found.folder.path),
        "metric": found.metric["name"],
        "higher_is_better": found.metric.get("higher_is_better"),
        "axes": {axis: list(labels) for axis, labels in found.grid.axes.items()},
        "against": found.grid.against.label if found.grid.against else None,
        "against_axis": found.grid.against.axis if found.grid.against else None,
        "comparisons": statistics.comparisons if statistics else 0,
        "rows": found.table.astype(object).where(found.table.notna(), None).to_dict("records"),
        "statistics": [s.row() for s in statistics.rows] if statistics else [],
        **({} if found.grid.sample is None else {"sensitivity": sensitivity_of(found).as_dict()}),
        "failed": [{**cell.labels, "seed": cell.seed, "why": str(found.folder.failure(cell))} for cell in found.failed],
    }
