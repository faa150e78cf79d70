"""Families whose trainings came to figures that are written by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from walras.experiments.grids.cell import Cell
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, conclude
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.training.config import TrainConfig

Point = tuple[float, float]  # share of compute, value
Finish = Callable[[Grid[TrainConfig], Path, Callable[[Cell[TrainConfig]], Point]], GridResult[TrainConfig]]


@pytest.fixture
def finish(no_pictures: None) -> Finish:
    """Write results of all cells of a grid into a folder, and conclude it; nothing is trained."""

    def finished(
        grid: Grid[TrainConfig], path: Path, point: Callable[[Cell[TrainConfig]], Point]
    ) -> GridResult[TrainConfig]:
        folder = GridFolder(path)
        for cell in grid.cells:
            used, value = point(cell)
            task = str(cell.settings.subject.task)
            names = {"stsb": ("spearman", "pearson"), "cola": ("matthews", "accuracy")}.get(task, ("accuracy",))
            result: dict[str, Any] = {
                "metric": {"name": names[0], "value": value, "dense": 0.9, "higher_is_better": True},
                "scores": {name: value + 0.01 * i for i, name in enumerate(names)}, "untrained_scores": None,
                "latency_ms": {}, "parameters": 60, "dense_parameters": 80, "used": used, "macs": used * 1e9,
                "task": task, "model": "tiny",
                **dict.fromkeys(("price", "expected", "heads", "ffn", "held_out", "steps", "seconds"), 0),
            }  # fmt: skip
            folder.write(f"cells/{cell.key}/config.yaml", cell.settings.as_yaml())
            folder.write(f"cells/{cell.key}/result.json", json.dumps(result))
        return conclude(grid, folder)

    return finished
