"""Running families: a grid per task, one after the other, each in a folder of its own where there are several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from walras.errors import InputError
from walras.experiments.executors import ExecutorSource
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, run_grid, unfinished
from walras.experiments.progress import Progress
from walras.experiments.reports.pages.writing import REPORT
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.result_folder import names_in
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.families.grids import family_of_trainings
from walras.experiments.training.families.report import write_families, write_family

_TABLES = ("frontier.csv", "claims.csv", REPORT)


@final
@dataclass(frozen=True)
class Families:
    """A grid per task.

    Attributes:
        grids: by the name of the task's folder.
    """

    grids: Mapping[str, Grid[TrainConfig]]

    @staticmethod
    def of_tasks(
        settings: Mapping[str, Any], vary: Mapping[str, Sequence[Any]], seeds: int, tasks: Sequence[str],
        against: str | None = None,
    ) -> "Families":  # fmt: skip
        """The same grid on every task.

        Args:
            settings: of all runs, but for the task where some are given.
            vary: values by setting.
            seeds: how many.
            tasks: by name; where there are none, that of the settings.
            against: the reference.

        Raises:
            InputError, UnknownNameError: wrong settings, a value or a task that is given twice.
        """
        found: dict[str, Grid[TrainConfig]] = {}
        given = [{**settings, "task": task} for task in tasks] or [dict(settings)]
        for own in given:
            grid = family_of_trainings(own, vary, seeds, against)
            task = str(grid.cells[0].settings.subject.task)
            if any(task == str(other.cells[0].settings.subject.task) for other in found.values()):
                raise InputError(f"task {task} is given twice; each counts once")
            place = Path(task.partition(":")[0]).stem
            found[place if place not in found else f"{place}-{len(found) + 1}"] = grid
        return Families(found)

    @property
    def cells(self) -> int:
        """How many runs there are."""
        return sum(len(grid.cells) for grid in self.grids.values())

    def folders(self, out: Path) -> dict[str, GridFolder]:
        """The folder of every grid: `out` itself where there is one.

        Raises:
            InputError: a place that cannot be written, or that holds something else.
        """
        if len(self.grids) == 1:
            return {place: GridFolder(out) for place in self.grids}
        pictures = (f"pareto-{place}.png" for place in self.grids)
        names_in(out, (*self.grids, *_TABLES, *pictures), "which is no part of these tasks; choose another folder")
        return {place: GridFolder(out / place) for place in self.grids}

    def waiting(self, out: Path) -> list[TrainConfig]:
        """Settings of all runs that have not finished."""
        folders = self.folders(out)
        return [cell.settings for place, grid in self.grids.items() for cell in unfinished(grid, folders[place])]

    def run(self, out: Path, executor: ExecutorSource, progress: Progress) -> dict[str, GridResult[TrainConfig]]:
        """Run what has not finished, and write tables and reports, of what has finished where it is interrupted."""
        folders, found = self.folders(out), dict[str, GridResult[TrainConfig]]()
        for place, grid in self.grids.items():
            found[place] = run_grid(grid, folders[place], executor, progress)
            write_family(found[place])
            if len(self.grids) > 1:
                write_families(found, out)
        return found


def joined(found: Mapping[str, GridResult[TrainConfig]]) -> pd.DataFrame:
    """The tables of all grids in one; where there are several, the task first."""
    if len(found) == 1:
        return next(iter(found.values())).table
    return pd.concat([own.table.assign(task=place) for place, own in found.items()], ignore_index=True)
