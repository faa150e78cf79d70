"""The folder of a comparison: a run folder a cell, and the tables that are made of them.

compare.yaml                which cells there are
cells/HASH/                 the run folder of a cell
failed/HASH.txt             why a cell failed, until it succeeds
timings/HASH.json           how long a cell's small model takes, where that was measured
frontier.parquet, .csv      a row a cell; statistics.csv  a row a recipe and budget
timings.csv                 seconds and milliseconds, which no two machines have in common
frontier.png, report.html
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, final

from walras.experiments.grids.cell import Cell
from walras.experiments.store.run_folder import names_in, read_result, write_whole

PARTS = (
    "compare.yaml",
    "cells",
    "failed",
    "timings",
    "frontier.parquet",
    "frontier.csv",
    "statistics.csv",
    "timings.csv",
    "frontier.png",
    "report.html",
)


class Planned(Protocol):
    """What is to be run."""

    def as_yaml(self) -> str:
        """Its cells."""


@final
class SweepFolder:
    """Where a comparison is kept. A folder of an earlier one is gone on with: cells that it shares are not run again.

    Raises:
        InputError: a place that cannot be written, or that holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        names_in(path, PARTS, "which is no part of a comparison; choose another folder")

    def begin(self, sweep: Planned) -> None:
        """Write which cells there are."""
        self.write("compare.yaml", sweep.as_yaml())

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    def place(self, cell: Cell[Any]) -> Path:
        """The run folder of a cell."""
        return self.path / "cells" / cell.key

    def finished(self, cell: Cell[Any]) -> bool:
        """Whether the run of exactly these settings has finished."""
        place = self.place(cell)
        try:
            same = (place / "config.yaml").read_text(encoding="utf-8") == cell.config.as_yaml()
        except (OSError, UnicodeDecodeError):
            return False
        return same and (place / "result.json").is_file()

    def result(self, cell: Cell[Any]) -> dict[str, Any]:
        """What a finished cell came to."""
        return read_result(self.place(cell))

    def record_failure(self, cell: Cell[Any], error: str) -> None:
        """Keep why a cell failed."""
        self.write(f"failed/{cell.key}.txt", f"{cell}\n\n{cell.config.as_yaml()}\n{error}")

    def forget_failure(self, cell: Cell[Any]) -> None:
        """The cell has succeeded."""
        (self.path / "failed" / f"{cell.key}.txt").unlink(missing_ok=True)

    def failure(self, cell: Cell[Any]) -> Path:
        """Where it is told why a cell failed."""
        return self.path / "failed" / f"{cell.key}.txt"

    def write_timing(self, cell: Cell[Any], timing: Mapping[str, Any]) -> None:
        """Keep how long a cell's small model takes."""
        self.write(f"timings/{cell.key}.json", json.dumps(timing, indent=2) + "\n")

    def timing(self, cell: Cell[Any]) -> dict[str, Any] | None:
        """How long a cell's small model takes, where that was measured."""
        file = self.path / "timings" / f"{cell.key}.json"
        if not file.is_file():
            return None
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
