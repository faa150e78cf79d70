"""Results of finished cells, carried from one machine to another."""

import json
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.benchmarks.frontier import keeping, restore
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runs import RunExperiment
from walras.experiments.spec import RunSpec
from walras.experiments.store.grid_folder import GridFolder


def grid(**settings: Any) -> Grid[RunSpec]:
    specs = [RunSpec.parse({"recipe": "random", "seed": seed, **settings}) for seed in range(3)]
    cells = [Cell({"recipe": "random", "budget": 0.5}, spec.seed, spec) for spec in specs]
    return Grid(RunExperiment(), cells, Reference("recipe", "random"))


def write(folder: GridFolder, cell: Cell[RunSpec], value: float) -> None:
    folder.write(f"cells/{cell.key}/config.yaml", cell.settings.as_yaml())
    folder.write(f"cells/{cell.key}/result.json", json.dumps({"value": value}))


def test_there_and_back(tmp_path: Path) -> None:
    here, there, file = GridFolder(tmp_path / "a"), GridFolder(tmp_path / "b"), tmp_path / "cells.jsonl"
    cells = grid(data="here").cells

    def interrupted() -> None:
        with keeping(grid(data="here"), here, file):
            write(here, cells[0], 0.1)
            write(here, cells[2], 0.3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    elsewhere = grid(data="elsewhere")
    restore(elsewhere, there, file)
    assert [there.finished(cell) for cell in elsewhere.cells] == [True, False, True]
    assert there.result(elsewhere.cells[2]) == {"value": 0.3}


def test_other_settings_are_left_out_and_what_is_there_stays(tmp_path: Path) -> None:
    here, there, file = GridFolder(tmp_path / "a"), GridFolder(tmp_path / "b"), tmp_path / "cells.jsonl"
    with keeping(grid(), here, file):
        write(here, grid().cells[0], 0.1)
    restore(grid(sentences=8), there, file)
    assert not any(there.finished(cell) for cell in grid(sentences=8).cells)
    write(there, grid().cells[0], 0.9)
    restore(grid(), there, file)
    assert there.result(grid().cells[0]) == {"value": 0.9}
    with pytest.raises(InputError, match="there is no"):
        restore(grid(), there, tmp_path / "none.jsonl")


def test_results_that_an_earlier_version_carried(tmp_path: Path) -> None:
    """Settings were flat, phases were switches, and not all settings of now were there."""
    settings = {"recipe": "k-prune", "budget": 0.4, "seed": 0, "rounds": 1, "repair": "least_squares",
                "valuation": "knowledge", "mechanism": "ShadowPrice", "sublayers": True, "rearranged": False,
                "resource": "macs", "besides": None, "price": None, "schedule": "geometric"}  # fmt: skip
    file = tmp_path / "cells.jsonl"
    file.write_text(json.dumps({"settings": settings, "result": {"value": 1}}) + "\n", encoding="utf-8")
    spec = RunSpec.parse({"recipe": "k-prune", "budget": 0.4, "data": "here"})
    cells = [Cell({"recipe": "k-prune", "budget": 0.4}, 0, spec)]
    folder = GridFolder(tmp_path / "a")
    restore(Grid(RunExperiment(), cells, Reference("recipe", "k-prune")), folder, file)
    assert folder.result(cells[0]) == {"value": 1}
