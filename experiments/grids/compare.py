"""Comparing recipes: all cells of a sweep, those that are finished left alone, and the table of what they came to."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import pandas as pd

from walras.experiments.config import RunConfig
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.executor import Executor
from walras.experiments.grids.statistics import SCHEMA, Statistics, parquet
from walras.experiments.grids.sweep import Sweep
from walras.experiments.grids.timings import measure
from walras.experiments.reports.frontier_report import write_frontier_report
from walras.experiments.reports.metric import titled
from walras.experiments.run import Plan, Progress, Silent, Stage, run_plan
from walras.experiments.store.grid_folder import SweepFolder
from walras.experiments.store.run_folder import RunFolder

STAGE = ("model", "task", "data", "block", "length", "batch_size", "device", "trust_remote_code")
"""Settings on which the network, the task, and the dense metric depend."""


@final
@dataclass(frozen=True)
class Comparison:
    """What a sweep came to."""

    sweep: Sweep
    folder: SweepFolder
    table: pd.DataFrame  # in the columns of `SCHEMA`
    timings: pd.DataFrame
    statistics: Statistics | None  # None where the reference, or everything, failed
    metric: Mapping[str, Any]  # of the first finished cell
    failed: Sequence[Cell[RunConfig]]


@final
@dataclass(frozen=True)
class RunCell:
    """The job of a worker: one cell from its settings to its run folder."""

    out: Path

    def __call__(self, cell: Cell[RunConfig]) -> None:
        """Run the cell anew; network and dense metric are those of the last cell where their settings are equal."""
        stage = _stage(*stage_settings(cell.config))
        run_plan(Plan.of(cell.config), stage, RunFolder(SweepFolder(self.out).place(cell), overwrite=True), Silent())


def stage_settings(config: RunConfig) -> tuple[Any, ...]:
    """The values of `STAGE`."""
    return tuple(getattr(config, name) for name in STAGE)


@lru_cache(maxsize=1)
def _stage(*values: Any) -> Stage:
    """Kept for the next cell: cells come ordered by these settings, so that a process loads each network once."""
    settings = dict(zip(STAGE, values, strict=True))
    return Stage.of(Plan.of(RunConfig(**settings, budget=1.0)), Silent())


def compare(
    sweep: Sweep, folder: SweepFolder, executor: Executor, progress: Progress | None = None, latency: bool = False
) -> Comparison:
    """Run what is not finished, measure what is asked for, and write tables, picture and report.

    A cell that fails is recorded with its traceback, and the rest goes on. The tables depend on the cells alone: not
    on the order in which they ran, nor on how often the sweep was interrupted.
    """
    progress = progress or Silent()
    folder.begin(sweep)
    waiting = [cell for cell in sweep.cells if not folder.finished(cell)]
    done = len(sweep.cells) - len(waiting)
    bar = progress.add_task("Cells" if waiting else "All cells are finished", total=len(sweep.cells))
    progress.update(bar, completed=done)
    stages = {key: i for i, key in enumerate(dict.fromkeys(stage_settings(cell.config) for cell in waiting))}
    waiting.sort(key=lambda cell: stages[stage_settings(cell.config)])
    with closing(executor.run(RunCell(folder.path.absolute()), waiting)) as outcomes:
        for outcome in outcomes:
            if outcome.error is None:
                told = _told(folder, outcome.item)
            else:
                folder.record_failure(outcome.item, outcome.error)
                told = f"{outcome.item}: failed, {reason(outcome.error)}"
            progress.update(bar, advance=1, description=told)
    finished = [cell for cell in sweep.cells if folder.finished(cell)]
    for cell in finished:
        folder.forget_failure(cell)
    if latency:
        measure(finished, folder, progress)
    return _conclude(sweep, folder, finished, latency)


def _conclude(sweep: Sweep, folder: SweepFolder, finished: Sequence[Cell[RunConfig]], latency: bool) -> Comparison:
    """Tables, picture and report of the finished cells."""
    results = [folder.result(cell) for cell in finished]
    timed = [(folder.timing(cell) or {}) if latency else {} for cell in finished]
    rows = [
        [c.recipe, c.budget, c.seed, r["macs"], r["parameters"], t.get("latency_ms"), m["value"], m["dense"]]
        for c, r, t in zip(finished, results, timed, strict=True)
        for m in (r["metric"],)
    ]
    table = pd.DataFrame(rows, columns=SCHEMA.names)
    timings = pd.DataFrame(
        [
            {"recipe": c.recipe, "budget": c.budget, "seed": c.seed, "seconds": r["seconds"], **t}
            for c, r, t in zip(finished, results, timed, strict=True)
        ]
    )
    folder.write("frontier.parquet", parquet(table))
    folder.write("frontier.csv", table.to_csv(index=False, float_format="%.8g"))
    folder.write("timings.csv", timings.to_csv(index=False, float_format="%.6g"))
    present = set(table["recipe"])
    statistics = Statistics.of(table, sweep.against) if sweep.against in present else None
    failed = [cell for cell in sweep.cells if cell not in finished]
    metric = results[0]["metric"] if results else {"name": ""}
    found = Comparison(sweep, folder, table, timings, statistics, metric, failed)
    if statistics is not None:
        folder.write("statistics.csv", statistics.frame.to_csv(index=False, float_format="%.8g"))
        write_frontier_report(folder, sweep, table, statistics, titled(metric), failed)
    return found


def reason(error: str) -> str:
    """The last line of a traceback."""
    lines = [line for line in error.splitlines() if line.strip()]
    return lines[-1].rpartition("walras.errors.")[2] if lines else "for no reason told"


def _told(folder: SweepFolder, cell: Cell[RunConfig]) -> str:
    found = folder.result(cell)
    return f"{cell}: {found['metric']['name']} {found['metric']['value']:.4f} in {found['seconds']:.0f} s"


def as_json(found: Comparison) -> dict[str, Any]:
    """What `walras compare --json` prints."""
    statistics = found.statistics
    return {
        "out": str(found.folder.path),
        "metric": found.metric["name"],
        "higher_is_better": found.metric.get("higher_is_better"),
        "against": found.sweep.against,
        "comparisons": statistics.comparisons if statistics else 0,
        "rows": found.table.astype(object).where(found.table.notna(), None).to_dict("records"),
        "statistics": [s.row() for s in statistics.rows] if statistics else [],
        "failed": [
            {"recipe": c.recipe, "budget": c.budget, "seed": c.seed, "why": str(found.folder.failure(c))}
            for c in found.failed
        ],
    }
