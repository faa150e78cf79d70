"""From Python: comparisons as pandas frames."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

import pandas as pd

from walras.errors import InputError, WalrasError
from walras.experiments.designs import Design
from walras.experiments.designs.of_runs import MOST_CELLS, designed_runs
from walras.experiments.designs.sensitivity import Sensitivity, sensitivity_of
from walras.experiments.executors import ExecutorSource
from walras.experiments.grids.axes import Axis, find_reference
from walras.experiments.grids.cell import BUDGET
from walras.experiments.grids.compare import compare as run
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, reason
from walras.experiments.grids.statistics import Statistics
from walras.experiments.grids.table import axes_of
from walras.experiments.progress import Progress
from walras.experiments.settings.keywords import RunSettings
from walras.experiments.spec import RunSpec
from walras.experiments.store.grid_folder import GridFolder


def compare(
    vary: Mapping[str, Sequence[Any] | str],
    *,
    design: Design | str | None = None,
    seeds: int | None = None,
    against: str | None = None,
    model: str | None = None,
    data: str | None = None,
    executor: Executor | ExecutorSource | str | None = "serial",
    out: str | Path | None = None,
    measure_latency: bool = False,
    progress: Progress | None = None,
    most_cells: int = MOST_CELLS,
    **settings: Unpack[RunSettings],
) -> pd.DataFrame:
    """Run combinations of some settings' values, all of them or those of a design, and get a row per run.

    Args:
        vary: values by setting, any setting of `walras.run`: names, numbers, or objects, such as a mechanism of your
            own. `strategy.factor` is a parameter of what a setting names. A text "0.3..0.9" is a range, "1e-4..1:log"
            one on a logarithmic scale; with a design that draws points, so is a tuple (0.3, 0.9). Without "budget"
            there is one, 0.5.
        design: which combinations are run, `walras list designs`: "grid" (all of them), "grid:n=5" (ranges at 5
            levels), "sobol:n=64", "saltelli:n=64", or an object. Its indices are what `walras.sensitivity` returns.
        seeds: draws of the calibration data, the same ones for all combinations; by default 5, and 1 with a design that
            draws points.
        against: the reference that the report compares with, "mechanism=ShadowPrice"; else the first value of the
            first setting that has several (of recipes `walras`, or the last one).
        model: folder or hub id of the network; the default model without one.
        data: folder or file with the task's data.
        executor: where runs go: "serial" (this process), "processes", "dask:tcp://HOST:8786", "mpi", or any
            `concurrent.futures.Executor`, such as `client.get_executor()` of a Dask client. Objects in `vary` travel to
            other processes by pickle, so that their classes must be in a module that those can import.
        out: folder of all runs, with tables and a report; finished runs that it holds are not repeated. Without one
            nothing is kept but the table.
        measure_latency: time the small models as well.
        progress: a started `rich.progress.Progress`, or anything like it.
        most_cells: runs that there may be.
        settings: of all runs, as keywords of `walras.run`; they go before those of a recipe.

    Returns:
        A column per setting in `vary`, `budget`, `seed`, and then `macs`, `parameters`, `latency_ms`, `value` (the
        task's metric of the small model), `dense`, and `used`, `price`, `welfare`, `revenue` and `status` of the last
        round. `walras.paired_statistics` compares along any of the settings. Runs that failed have no row, and a
        warning names them.

    Raises:
        InputError, UnknownNameError: whatever is wrong with the settings, before a network is loaded.
        WalrasError: all runs failed.
    """
    asked = {"model": model, "data": data, **settings}
    with folder_or_none(out) as place:
        grid = grid_of(vary, design, seeds, against, most_cells, asked)
        return finished_or_error(run(grid, place, executor, progress, measure_latency)).table


def sensitivity(
    vary: Mapping[str, Sequence[Any] | str],
    *,
    design: Design | str = "saltelli",
    seeds: int = 1,
    model: str | None = None,
    data: str | None = None,
    executor: Executor | ExecutorSource | str | None = "serial",
    out: str | Path | None = None,
    progress: Progress | None = None,
    most_cells: int = MOST_CELLS,
    **settings: Unpack[RunSettings],
) -> Sensitivity:
    """How much settings matter for welfare, revenue, quality and the used share, by the points of a design.

    Args:
        vary: ranges and values by setting, as `walras.compare` has them; a tuple (0.3, 0.9) is a range.
        design: "saltelli:n=64" for Sobol's indices, "morris:n=10" for elementary effects, and "sobol", "halton" or
            "latin" for rank correlations.
        seeds: draws of the calibration data at each point, over which outputs are averaged.
        model: as `walras.compare`.
        data: as `walras.compare`.
        executor: as `walras.compare`.
        out: as `walras.compare`; `indices.csv`, `.json` and `.png` are written there too.
        progress: as `walras.compare`.
        most_cells: runs that there may be.
        settings: of all runs, as keywords of `walras.run`.

    Returns:
        `frame` has a row per output, setting and measure, with a 95 % interval; `notes` says how far to trust it.

    Raises:
        InputError, UnknownNameError: whatever is wrong with the settings, before a network is loaded.
        WalrasError: all runs failed.
    """
    asked = {"model": model, "data": data, **settings}
    with folder_or_none(out) as place:
        grid = grid_of(vary, design, seeds, None, most_cells, asked)
        if grid.sample is None:
            raise InputError(f"design {design} runs all values and draws no points; give saltelli, morris or sobol")
        return sensitivity_of(finished_or_error(run(grid, place, executor, progress)))


def grid_of(
    vary: Mapping[str, Any], design: Design | str | None, seeds: int | None, against: str | None, most: int,
    asked: Mapping[str, Any],
) -> Grid[RunSpec]:  # fmt: skip
    """The cells of a call; a budget among the settings is the only value on its axis."""
    base = {name: value for name, value in asked.items() if name not in ("model", "data") or value is not None}
    axes = dict(vary)
    if BUDGET in base and BUDGET not in axes:
        axes[BUDGET] = [base.pop(BUDGET)]
    return designed_runs(design, axes, seeds, base, against, most)


@contextmanager
def folder_or_none(out: str | Path | None) -> Iterator[GridFolder]:
    """The folder of all runs, or one that is removed in the end."""
    with TemporaryDirectory() if out is None else nullcontext(str(out)) as place:
        yield GridFolder(place, kept=out is not None)


def finished_or_error(found: GridResult[RunSpec]) -> GridResult[RunSpec]:
    """The same; a warning names the first run that failed.

    Raises:
        WalrasError: all of them failed.
    """
    if found.failed:
        why = reason(found.folder.failure(found.failed[0]).read_text(encoding="utf-8"))
        told = f"{len(found.failed)} of {len(found.grid.cells)} runs failed; the first, {found.failed[0]}: {why}"
        if len(found.failed) == len(found.grid.cells):
            raise WalrasError(told)
        warnings.warn(told, stacklevel=3)
    return found


def paired_statistics(table: pd.DataFrame, against: str | None = None) -> pd.DataFrame:
    """Means over seeds with 95 % Student intervals, and differences to a reference, paired by seed.

    Args:
        table: of `walras.compare`, `frontier.parquet` or `frontier.csv`, or parts of them.
        against: the reference, "AXIS=VALUE", or a value; by default the first value of the first axis that has several
            (of recipes `walras`, or the last one).

    Returns:
        A row per combination of labels, and per combination of all but budgets a mean over all (budget NaN), with
        `seeds mean low high` and `pairs difference difference_low difference_high`.

    Raises:
        UnknownNameError: the reference is not in the table.
    """
    labels = {name: tuple(table[name].unique().tolist()) for name in axes_of(table)}
    return Statistics.from_table(table, find_reference(against, [Axis(n, own, own) for n, own in labels.items()])).frame
