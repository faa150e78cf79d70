"""Calibration of a setting of runs: what is given becomes a range, a target and cells."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from walras.errors import InputError
from walras.experiments.calibrating.calibrate import Calibration, search_cells
from walras.experiments.calibrating.target import Target
from walras.experiments.designs.factors import Range
from walras.experiments.designs.of_runs import read_factors
from walras.experiments.executors import ExecutorSource
from walras.experiments.grids.cell import BUDGET
from walras.experiments.grids.grid import Grid, check_seeds
from walras.experiments.grids.runs import grid_of_runs
from walras.experiments.progress import Progress
from walras.experiments.reports.grids.frontier_report import write_frontier_report
from walras.experiments.spec import RunSpec
from walras.experiments.store.grid_folder import GridFolder


def calibrate_runs(
    vary: Mapping[str, Any],
    target: str,
    settings: Mapping[str, Any],
    folder: GridFolder,
    *,
    seeds: int = 1,
    tolerance: float = 0.01,
    runs: int = 20,
    executor: Executor | ExecutorSource | str | None = "serial",
    progress: Progress | None = None,
) -> Calibration:
    """Find the value of one setting at which runs meet a target; write tables and a report of what was tried.

    Args:
        vary: one setting and its range.
        target: as `Target.read` takes it.
        settings: of all runs; a budget among them is that of all.
        folder: where runs are kept.
        seeds: draws of the calibration data, over which the figure is averaged.
        tolerance: as `search_cells` has it, and so the rest.
        runs: values that are tried at most.
        executor: where runs go.
        progress: is told of every value.

    Raises:
        InputError: whatever is wrong, before a network is loaded or a file written.
        WalrasError: a run failed.
    """
    aim = Target.read(target)
    base = dict(settings)
    fixed = {} if BUDGET in vary or BUDGET not in base else {BUDGET: [base.pop(BUDGET)]}
    ranges = [f for f in read_factors(vary, base, tuples=True) if f.varies]
    if len(vary) != 1 or len(ranges) != 1 or not isinstance(ranges[0], Range):
        raise InputError("a search takes one setting and its range: --vary budget=0.3..0.9")
    over = ranges[0]
    check_seeds(seeds, vary)

    def cells(values: Sequence[int | float]) -> Grid[RunSpec]:
        return grid_of_runs({over.name: list(values), **fixed}, seeds, base)

    cells([over.low, over.high] if not over.whole else [int(over.low), int(over.high)])  # checked before all else
    found, grid = search_cells(
        cells, over, aim, folder, tolerance=tolerance, runs=runs, executor=executor, progress=progress
    )
    if folder.kept:
        write_frontier_report(grid)
    return found
