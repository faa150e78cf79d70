"""From Python: a setting calibrated to a target."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Unpack

from walras.experiments.calibrating.calibrate import Calibration
from walras.experiments.calibrating.of_runs import calibrate_runs
from walras.experiments.executors import ExecutorSource
from walras.experiments.grids.from_python import folder_or_none
from walras.experiments.progress import Progress
from walras.experiments.settings.keywords import RunSettings


def calibrate(
    vary: Mapping[str, Sequence[Any] | str],
    target: str,
    *,
    seeds: int = 1,
    tolerance: float = 0.01,
    runs: int = 20,
    model: str | None = None,
    data: str | None = None,
    executor: Executor | ExecutorSource | str | None = "serial",
    out: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Unpack[RunSettings],
) -> Calibration:
    """Find the value of a setting at which runs meet a target, such as the smallest budget that keeps 95 % of quality.

    Args:
        vary: one setting and its range: {"budget": (0.3, 0.9)}, or "1e-4..1:log" for the range.
        target: "quality>=0.95*dense", "quality=0.8", "used<=0.4", "welfare=3"; quality is the task's metric. With >= or
            <= the value next to the boundary is returned at which it holds; with = the nearest one.
        seeds: draws of the calibration data, over which the figure is averaged.
        tolerance: share of the range to which the value is found.
        runs: values that are tried at most.
        model: folder or hub id of the network; the default model without one.
        data: folder or file with the task's data.
        executor: as `walras.compare`.
        out: folder of all runs, with tables and a report; finished runs that it holds are not repeated. Without one
            nothing is kept.
        progress: a started `rich.progress.Progress`, or anything like it.
        settings: of all runs, as keywords of `walras.run`.

    Returns:
        `value` and how it was found; `status` says whether the target lies outside the range.

    Raises:
        InputError, UnknownNameError: whatever is wrong with the settings, before a network is loaded.
        WalrasError: a run failed.
    """
    named = {name: value for name, value in (("model", model), ("data", data)) if value is not None}
    with folder_or_none(out) as place:
        return calibrate_runs(
            vary, target, {**settings, **named}, place, seeds=seeds, tolerance=tolerance, runs=runs,
            executor=executor, progress=progress,
        )  # fmt: skip
