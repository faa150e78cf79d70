"""Results of finished cells, carried from one machine to another."""

import json
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.benchmarks.frontier import keeping, restore
from walras.experiments.config import RunConfig
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.sweep import Sweep
from walras.experiments.recipes import resolved
from walras.experiments.store.grid_folder import SweepFolder


def sweep(**settings: Any) -> Sweep:
    cells = [Cell("random", resolved({"recipe": "random", "seed": seed, **settings})) for seed in range(3)]
    return Sweep(("random",), (0.5,), 3, "random", settings, cells)


def write(folder: SweepFolder, cell: Cell[RunConfig], value: float) -> None:
    folder.write(f"cells/{cell.key}/config.yaml", cell.config.as_yaml())
    folder.write(f"cells/{cell.key}/result.json", json.dumps({"value": value}))


def test_there_and_back(tmp_path: Path) -> None:
    here, there, file = SweepFolder(tmp_path / "a"), SweepFolder(tmp_path / "b"), tmp_path / "cells.jsonl"
    cells = sweep(data="here").cells

    def interrupted() -> None:
        with keeping(sweep(data="here").cells, here, file):
            write(here, cells[0], 0.1)
            write(here, cells[2], 0.3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    elsewhere = sweep(data="elsewhere")
    restore(elsewhere.cells, there, file)
    assert [there.finished(cell) for cell in elsewhere.cells] == [True, False, True]
    assert there.result(elsewhere.cells[2]) == {"value": 0.3}


def test_other_settings_are_left_out_and_what_is_there_stays(tmp_path: Path) -> None:
    here, there, file = SweepFolder(tmp_path / "a"), SweepFolder(tmp_path / "b"), tmp_path / "cells.jsonl"
    with keeping(sweep().cells, here, file):
        write(here, sweep().cells[0], 0.1)
    restore(sweep(sentences=8).cells, there, file)
    assert not any(there.finished(cell) for cell in sweep(sentences=8).cells)
    write(there, sweep().cells[0], 0.9)
    restore(sweep().cells, there, file)
    assert there.result(sweep().cells[0]) == {"value": 0.9}
    with pytest.raises(InputError, match="there is no"):
        restore(sweep().cells, there, tmp_path / "none.jsonl")
