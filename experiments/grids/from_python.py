"""From Python: comparisons as pandas frames."""

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

import pandas as pd

from walras.errors import WalrasError
from walras.experiments.executors import ExecutorSource
from walras.experiments.grids.axes import Axis, find_reference
from walras.experiments.grids.cell import BUDGET
from walras.experiments.grids.compare import compare as run
from walras.experiments.grids.runner import reason
from walras.experiments.grids.runs import grid_of_runs
from walras.experiments.grids.statistics import Statistics
from walras.experiments.grids.table import axes_of
from walras.experiments.progress import Progress
from walras.experiments.settings.keywords import RunSettings
from walras.experiments.store.grid_folder import GridFolder


def compare(
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 5,
    against: str | None = None,
    model: str | None = None,
    data: str | None = None,
    executor: Executor | ExecutorSource | str | None = "serial",
    out: str | Path | None = None,
    measure_latency: bool = False,
    progress: Progress | None = None,
    **settings: Unpack[RunSettings],
) -> pd.DataFrame:
    """Run every combination of some settings' values with every seed, and get a row per run.

    Args:
        vary: values by setting, any setting of `walras.run`: names, numbers, or objects, such as a mechanism of your
            own. Without "budget" there is one, 0.5.
        seeds: draws of the calibration data, the same ones for all combinations.
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
    named = {name: value for name, value in (("model", model), ("data", data)) if value is not None}
    base: dict[str, Any] = {**settings, **named}
    axes = dict(vary)
    if BUDGET in base and BUDGET not in axes:
        axes[BUDGET] = [base.pop(BUDGET)]
    grid = grid_of_runs(axes, seeds, base, against)
    with TemporaryDirectory() if out is None else nullcontext(str(out)) as place:
        found = run(grid, GridFolder(place), executor, progress, measure_latency)
        if found.failed:
            why = reason(found.folder.failure(found.failed[0]).read_text(encoding="utf-8"))
            told = f"{len(found.failed)} of {len(grid.cells)} runs failed; the first, {found.failed[0]}: {why}"
            if len(found.failed) == len(grid.cells):
                raise WalrasError(told)
            warnings.warn(told, stacklevel=2)
    return found.table


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
