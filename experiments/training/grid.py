"""Many training runs: budgets, prices or recipes, each with several seeds; what an interruption cut short goes on."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd
import yaml

from walras.errors import InputError
from walras.experiments.config import typed
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.compare import reason
from walras.experiments.grids.executor import Executor
from walras.experiments.grids.statistics import Statistics
from walras.experiments.run import Progress, Silent
from walras.experiments.store.grid_folder import SweepFolder
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.stage import STAGE, TrainPlan
from walras.experiments.training.train import train

TrainCell = Cell[TrainConfig]
VARIED = ("budget", "price", "recipe")


def label(config: TrainConfig) -> str:
    """What a row of the tables is called: the recipe, or where the price comes from."""
    if config.recipe is not None:
        return config.recipe
    return f"tax {config.price:g}" if config.pricing == "tax" else config.pricing


@final
@dataclass(frozen=True)
class Grid:
    """All combinations of what is varied; `of` checks their settings.

    `reference` is the recipe that the others are compared with; without one it is that of the first finished cell.
    """

    cells: Sequence[TrainCell]
    reference: str | None = None

    @staticmethod
    def of(settings: Mapping[str, Any], varied: Mapping[str, Sequence[Any]], seeds: int) -> "Grid":
        """Settings for all runs, and the several values of those in `VARIED`; seeds count on from the settings' own.

        Raises:
            InputError, UnknownNameError: wrong settings, a value that is given twice.
        """
        if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
            raise InputError(f"seeds is {seeds!r}; it must be a whole number of at least 1")
        chosen: list[dict[str, Any]] = [dict(settings)]
        for name in VARIED:
            values = list(varied.get(name, ()))
            for i, value in enumerate(values):
                if value in values[:i]:
                    raise InputError(f"{name} {value} is given twice; each counts once")
            chosen = [{**given, name: value} for given in chosen for value in values] if values else chosen
        first: int = typed({"seed": settings.get("seed", 0)}, TrainConfig)["seed"]
        configs = [TrainConfig.of({**given, "seed": first + i}) for given in chosen for i in range(seeds)]
        for config in configs[::seeds]:
            TrainPlan.of(config)
        return Grid([Cell(label(config), config) for config in configs])

    @property
    def shared(self) -> frozenset[float]:
        """Budgets at which every recipe has cells."""
        budgets: dict[str, set[float]] = {}
        for cell in self.cells:
            budgets.setdefault(cell.recipe, set()).add(cell.budget)
        return frozenset.intersection(*map(frozenset, budgets.values()))

    def as_yaml(self) -> str:
        """The grid as `compare.yaml` has it."""
        cells = [{"recipe": c.recipe, "budget": c.budget, "seed": c.seed, "cell": c.key} for c in self.cells]
        return yaml.safe_dump({"cells": cells}, sort_keys=False, allow_unicode=True)


@final
@dataclass(frozen=True)
class TrainJob:
    """The job of a worker: one cell to its run folder, from its last checkpoint on where there is one."""

    out: Path

    def __call__(self, cell: TrainCell) -> None:
        """Train; a folder of the same settings is gone on with."""
        place = SweepFolder(self.out).place(cell)
        begun = place / "config.yaml"
        same = begun.is_file() and begun.read_text(encoding="utf-8") == cell.config.as_yaml()
        train(cell.config, place, overwrite=not same, resume=same)


@final
@dataclass(frozen=True)
class GridResult:
    """What a grid came to."""

    grid: Grid
    folder: SweepFolder
    table: pd.DataFrame  # a row a finished cell
    statistics: Statistics | None  # None where nothing has finished, or no cell of the reference
    failed: Sequence[TrainCell]
    metric: Mapping[str, Any]


def run_grid(grid: Grid, folder: SweepFolder, executor: Executor, progress: Progress | None = None) -> GridResult:
    """Train what has not finished; write the tables, of what has finished where it is interrupted.

    A cell that fails is recorded, and the rest goes on.
    """
    progress = progress or Silent()
    folder.begin(grid)
    waiting = [cell for cell in grid.cells if not folder.finished(cell)]
    waiting.sort(key=lambda cell: [str(getattr(cell.config, name)) for name in STAGE])  # a network is measured once
    bar = progress.add_task("Runs", total=len(grid.cells))
    progress.update(bar, completed=len(grid.cells) - len(waiting))
    try:
        with closing(executor.run(TrainJob(folder.path.absolute()), waiting)) as outcomes:
            for outcome in outcomes:
                cell = outcome.item
                if outcome.error is None:
                    folder.forget_failure(cell)
                    metric = folder.result(cell)["metric"]
                    told = f"{cell}: {metric['name']} {metric['value']:.4f}"
                else:
                    folder.record_failure(cell, outcome.error)
                    told = f"{cell}: failed, {reason(outcome.error)}"
                progress.update(bar, advance=1, description=told)
    finally:
        found = conclude(grid, folder)
    return found


def conclude(grid: Grid, folder: SweepFolder) -> GridResult:
    """Tables of the finished cells."""
    finished = [cell for cell in grid.cells if folder.finished(cell)]
    table = pd.DataFrame([row(cell, folder.result(cell)) for cell in finished])
    against = grid.reference or (finished[0].recipe if finished else "")
    known = any(cell.recipe == against for cell in finished)
    statistics = Statistics.of(table, against, grid.shared) if known else None
    metric = folder.result(finished[0])["metric"] if finished else {}
    folder.write("frontier.csv", table.to_csv(index=False, float_format="%.8g"))
    if statistics is not None:
        folder.write("statistics.csv", statistics.frame.to_csv(index=False, float_format="%.8g"))
    failed = [cell for cell in grid.cells if cell not in finished]
    return GridResult(grid, folder, table, statistics, failed, metric)


def row(cell: TrainCell, result: Mapping[str, Any]) -> dict[str, Any]:
    """A finished run in a line."""
    latency = result["latency_ms"]
    return {
        "recipe": cell.recipe, "budget": cell.budget, "seed": cell.seed, "taxed": cell.config.taxed,
        "cost": cell.config.cost, "price": result["price"], "expected": result["expected"], "used": result["used"],
        "macs": result["macs"], "parameters": result["parameters"], "dense_parameters": result["dense_parameters"],
        "sparsity": 1 - result["parameters"] / result["dense_parameters"],
        "heads": result["heads"], "ffn": result["ffn"],
        **{f"latency_ms_{rows}": ms["value"] for rows, ms in latency.items()},
        **{f"latency_share_{rows}": ms["value"] / ms["dense"] for rows, ms in latency.items()},
        "value": result["metric"]["value"], "dense": result["metric"]["dense"],
        **{f"score {name}": value for name, value in result["scores"].items()},
        **{f"untrained {name}": value for name, value in (result["untrained_scores"] or {}).items()},
        "held_out": result["held_out"], "steps": result["steps"], "seconds": result["seconds"],
    }  # fmt: skip
