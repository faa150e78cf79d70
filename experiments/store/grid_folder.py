"""The folder of a grid: a run folder per cell, and the tables that are made of them.

compare.yaml                which cells there are
cells/HASH/                 the run folder of a cell
failed/HASH.txt             why a cell failed, until it succeeds
timings/HASH.json           how long a cell's small model takes, where that was measured
frontier.parquet, .csv      a row per cell; statistics.csv  a row per combination of labels
timings.csv                 seconds and milliseconds, which no two machines have in common
frontier.png, report.html
pareto.csv, .png            of trainings: points against compute, and which of them are on the front
equal_compute.csv           of trainings: prices beside recipes where these use as much; claims.csv  points of a paper
indices.csv, .json, .png    of the sample of a design: how much each setting matters
calibration.json            of a search for a target: what it found
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, final

from walras.errors import InputError
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.sources import without_places
from walras.experiments.store.result_folder import names_in
from walras.experiments.store.run_folder import LARGEST_RESULT
from walras.files.contents import read_text
from walras.files.folders import remove, sweep
from walras.files.locks import BusyError, one_writer, refuse_second
from walras.files.plain_data import read_json, write_json
from walras.files.writing import ENDING, is_hidden_work, write_whole

SWEEP = "compare.yaml"
"""Says which cells there are."""
TABLES = "tables"
_SMALL = ("failed", "timings")  # folders of files that the sweep itself writes
PARTS = (
    SWEEP,
    "cells",
    "failed",
    "timings",
    "frontier.parquet",
    "frontier.csv",
    "statistics.csv",
    "timings.csv",
    "frontier.png",
    "pareto.csv",
    "pareto.png",
    "equal_compute.csv",
    "claims.csv",
    "indices.csv",
    "indices.json",
    "indices.png",
    "calibration.json",
    "report.html",
)


class Planned(Protocol):
    """What is to be run."""

    def as_yaml(self) -> str:
        """Its cells."""


@final
class GridFolder:
    """Where a grid is kept. In a folder of an earlier one, cells that are finished are not run again.

    Args:
        path: of the folder.
        kept: whether anybody will look at it; else no reports are written, of cells neither.

    Raises:
        InputError: a place that cannot be written, or that holds something else.
    """

    def __init__(self, path: str | Path, kept: bool = True) -> None:
        self.path, self.kept = Path(path), kept
        names_in(path, PARTS, "which is no part of a comparison; choose another folder")

    def absolute(self) -> "GridFolder":
        """The same place, for a worker whose working folder is another."""
        return GridFolder(self.path.absolute(), self.kept)

    def begin(self, grid: Planned) -> None:
        """Write which cells there are."""
        with self.tables():
            self.write(SWEEP, grid.as_yaml())

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    @contextmanager
    def tables(self) -> Iterator[None]:
        """Be the only one who writes tables; another sweep of the same folder is waited for.

        What a sweep that died left unfinished, outside of cells, is removed, and an empty folder of failures.
        """
        with one_writer(self.path / TABLES, wait=True):
            sweep(self.path)
            for folder in (self.path, *(self.path / name for name in _SMALL)):
                for place in sorted(folder.iterdir()) if folder.is_dir() else ():
                    if place.name.endswith(ENDING) and is_hidden_work(place.name):
                        remove(place)
            with suppress(OSError):  # unless a cell's failure is still told there; they are written under this lock
                (self.path / "failed").rmdir()
            yield

    def busy(self, cell: Cell[Any]) -> bool:
        """Whether another process works on a cell right now."""
        try:
            refuse_second(self.place(cell))
        except BusyError:
            return True
        return False

    def place(self, cell: Cell[Any]) -> Path:
        """The run folder of a cell."""
        return self.path / "cells" / cell.key

    def finished(self, cell: Cell[Any]) -> bool:
        """Whether the run of exactly these settings has finished, and its result can be read."""
        return self._same(cell) and _read(self.place(cell) / "result.json") is not None

    def result(self, cell: Cell[Any]) -> dict[str, Any] | None:
        """What a cell came to; None where it has not finished."""
        return _read(self.place(cell) / "result.json") if self._same(cell) else None

    def damage(self, cell: Cell[Any]) -> str:
        """Which file of a cell is there and cannot be read, and what is done about it; "" where all is well."""
        result, timing = self.place(cell) / "result.json", self._timing(cell)
        checked = ((result, _read(result), "runs again"), (timing, self.timing(cell), "is timed again"))
        for file, found, remedy in checked:
            if file.is_file() and found is None:
                return f"{file.relative_to(self.path)} is damaged: {cell} {remedy}"
        return ""

    def record_failure(self, cell: Cell[Any], error: str) -> None:
        """Keep why a cell failed."""
        with self.tables():
            self.write(f"failed/{cell.key}.txt", f"{cell}\n\n{cell.settings.as_yaml()}\n{error}")

    def forget_failure(self, cell: Cell[Any]) -> None:
        """The cell has succeeded."""
        remove(self.failure(cell))

    def failure(self, cell: Cell[Any]) -> Path:
        """Where it is told why a cell failed."""
        return self.path / "failed" / f"{cell.key}.txt"

    def write_timing(self, cell: Cell[Any], timing: Mapping[str, Any]) -> None:
        """Keep how long a cell's small model takes."""
        with self.tables():
            self.write(f"timings/{cell.key}.json", write_json(timing))

    def timing(self, cell: Cell[Any]) -> dict[str, Any] | None:
        """How long a cell's small model takes, where that was measured; None of a file with other content."""
        found = _read(self._timing(cell)) or {}
        latency = found.get("latency_ms")
        plain = all(isinstance(value, (str, int, float)) for value in found.values())
        return found if plain and isinstance(latency, (int, float)) and 0 < latency < math.inf else None

    def _timing(self, cell: Cell[Any]) -> Path:
        return self.path / "timings" / f"{cell.key}.json"

    def _same(self, cell: Cell[Any]) -> bool:
        """Whether the run in the cell's folder has its settings; the folder's name says the same of user's files."""
        try:
            kept = read_text(self.place(cell) / "config.yaml", "config file")
        except InputError:
            return False
        return without_places(kept) == without_places(cell.settings.as_yaml())


def _read(file: Path) -> dict[str, Any] | None:
    """What a JSON file maps names to; None where there is no such file, or a damaged one."""
    try:
        found = read_json(file, "result", LARGEST_RESULT)
    except InputError:
        return None
    return found if isinstance(found, dict) else None
