"""What reports of grids have in common: a table of all cells, which of them failed, and what their settings share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from walras.experiments.grids.cell import SEED, Cell, shown
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import ABSENT, amounts, count, number, percent, quality
from walras.experiments.reports.pages.page import Cell as Content
from walras.experiments.reports.pages.page import Link, Note, Table
from walras.experiments.reports.pages.writing import REPORT
from walras.files.plain_data import parse_yaml

SECTIONS = ("subject", "market")  # of settings that are nested
FIGURES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "value": ("", quality),  # under the metric's name
    "dense": ("dense", quality),
    "macs": ("MACs", lambda macs: amounts(macs, places=1)[0]),
    "parameters": ("parameters", count),
    "latency_ms": ("milliseconds", number),
    "used": ("used", percent),
    "price": ("price", number),
    "welfare": ("welfare", number),
    "revenue": ("revenue", number),
    "status": ("status", str),
}
"""Columns of the table that the report lists where it has them: their headings, and a value as text."""


def cells_table(found: GridResult[Any], varied: Sequence[str]) -> Table:
    """A row per finished cell, which leads to its report.

    Args:
        found: a grid and its table.
        varied: settings that differ between cells, beside the seed.
    """
    figures = [name for name in FIGURES if name in found.table]
    done = [cell for cell in found.grid.cells if cell not in found.failed]
    axes = [*varied, SEED]
    rows = [
        [_to_report(found, cell), *(shown(row[axis]) for axis in axes),
         *(ABSENT if pd.isna(row[n]) else FIGURES[n][1](row[n]) for n in figures)]
        for cell, row in zip(done, found.table.to_dict("records"), strict=True)
    ]  # fmt: skip
    headings = ["report", *axes, *(FIGURES[name][0] or titled(found.metric) for name in figures)]
    return Table(headings, rows, "Every cell, and its report", texts=1 + len(axes))


def _to_report(found: GridResult[Any], cell: Cell[Any]) -> Content:
    place = found.folder.place(cell)
    there = (place / REPORT).is_file()
    return Link(cell.key[:8], f"{place.relative_to(found.folder.path).as_posix()}/{REPORT}") if there else cell.key[:8]


def failed_cells(found: GridResult[Any]) -> Iterator[Note | Table]:
    """Which cells failed, and where it is told why."""
    if found.failed:
        yield Note(f"{len(found.failed)} of {len(found.grid.cells)} cells failed, and are missing here.", warning=True)
        files = [found.folder.failure(cell).relative_to(found.folder.path).as_posix() for cell in found.failed]
        failed = zip(found.failed, files, strict=True)
        rows: list[list[Content]] = [[str(cell), Link(file, file)] for cell, file in failed]
        yield Table(("cell", "why"), rows, "Cells that failed", texts=2)


def shared_table(grid: Grid[Any], varied: Sequence[str]) -> Table:
    """Settings that all cells have in common."""
    fixed = _shared_settings(grid.cells, [*varied, SEED])
    rows: list[list[Content]] = [[name, value] for name, value in fixed.items()]
    return Table(("setting", "value"), rows, "What all cells have in common", texts=2)


def _shared_settings(cells: Sequence[Cell[Any]], varied: Sequence[str]) -> dict[str, str]:
    """Settings that are the same in all cells, by name, as their files of settings have them."""
    first, *others = (_by_name(parse_yaml(cell.settings.as_yaml())) for cell in cells)
    return {
        name: shown(value)
        for name, value in first.items()
        if name not in varied and value not in (None, []) and all(other.get(name) == value for other in others)
    }


def _by_name(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by their own names."""
    sections = [value for name, value in tree.items() if name in SECTIONS and isinstance(value, Mapping)]
    plain = {name: value for name, value in tree.items() if name not in SECTIONS}
    return {**plain, **{name: value for inner in sections for name, value in inner.items()}}
