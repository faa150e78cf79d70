"""Results of finished cells outlive a run of a part of them, and are taken for equal settings alone."""

import json
from pathlib import Path
from typing import Any

from walras.experiments.benchmarks.frontier import keeping, restore
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runs import grid_of_runs
from walras.experiments.store.grid_folder import GridFolder
from walras.files.writing import write_whole


def _grid(*recipes: str, block: int = 1) -> Grid[Any]:
    return grid_of_runs({"recipe": recipes, "budget": [0.5]}, 1, {"task": "pairs", "block": block})


def _finish(grid: Grid[Any], folder: GridFolder, value: float) -> None:
    for cell in grid.cells:
        write_whole(folder.place(cell) / "config.yaml", cell.settings.as_yaml())
        write_whole(folder.place(cell) / "result.json", json.dumps({"value": value}))


def test_a_run_of_a_part_keeps_what_was_there(tmp_path: Path) -> None:
    folder, file = GridFolder(tmp_path / "pairs"), tmp_path / "cells.jsonl"
    for value, recipe in enumerate(("magnitude", "random", "magnitude")):
        grid = _grid(recipe)
        with keeping(grid, folder, file):
            _finish(grid, folder, value)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["settings"]["recipe"]: row["result"]["value"] for row in rows} == {"magnitude": 2, "random": 1}
    assert len(rows) == 2


def test_results_of_equal_settings_alone_are_taken(tmp_path: Path) -> None:
    file, own = tmp_path / "cells.jsonl", _grid("magnitude", "random")
    with keeping(own, GridFolder(tmp_path / "one"), file):
        _finish(own, GridFolder(tmp_path / "one"), 0.25)
    again, other = GridFolder(tmp_path / "two"), _grid("magnitude", block=32)
    for grid in (own, other):
        restore(grid, again, file)
    assert [again.result(cell) for cell in own.cells] == [{"value": 0.25}, {"value": 0.25}]
    assert not any(again.finished(cell) for cell in other.cells)
