"""The report of a grid: one HTML file with its picture inside, and the picture beside it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from walras.experiments.grids.cell import SEED, Cell, shown
from walras.experiments.grids.runner import GridResult
from walras.experiments.reports.frontier_plot import frontier_picture, series_names
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages import write_page
from walras.files.plain_data import parse_yaml

SECTIONS = ("subject", "market")  # of settings that are nested
FIGURES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "macs": ("MACs [M]", lambda macs: f"{macs / 1e6:.2f}"),
    "parameters": ("parameters", lambda parameters: f"{parameters:,}"),
    "latency_ms": ("latency [ms]", lambda latency: f"{latency:.2f}"),
    "value": ("", lambda value: f"{value:.4f}"),  # under the metric's name
    "dense": ("dense", lambda dense: f"{dense:.4f}"),
    "used": ("used", lambda used: f"{used:.4f}"),
    "price": ("price", lambda price: f"{price:.4g}"),
    "welfare": ("welfare", lambda welfare: f"{welfare:.4g}"),
    "revenue": ("revenue", lambda revenue: f"{revenue:.4g}"),
    "status": ("status", str),
}
"""Columns of the table that the report lists where it has them: their headings, and a value as text."""


def write_frontier_report(found: GridResult[Any]) -> None:
    """Write `frontier.png` and `report.html` of a `GridResult`; nothing where it has no statistics."""
    statistics, table = found.statistics, found.table
    if statistics is None:
        return
    metric, budget = titled(found.metric), {None: "mean of all"}
    alt = f"{metric} against compute, and differences to {statistics.against} by budget"
    names = series_names(statistics)
    figures = [name for name in FIGURES if name in table]
    with found.folder.tables():
        write_page(
            found.folder.path,
            Path(__file__).with_name("compare.html"),
            {"frontier": (frontier_picture(table, statistics, metric), alt)},
            about=found.about,
            seeds=len(found.grid.seeds),
            metric=metric,
            dense=float(table["dense"].mean()),
            budgets=[(b, budget.get(b) or shown(b)) for b in statistics.budgets],
            series=[(s, names[s], statistics.is_reference(s)) for s in statistics.series],
            statistics=statistics,
            fixed=shared_settings(found.grid.cells, [*statistics.axes, SEED]),
            headings=[*statistics.axes, SEED, *(FIGURES[name][0] or metric for name in figures)],
            rows=[
                [*(shown(row[axis]) for axis in [*statistics.axes, SEED]), *(figure_text(n, row[n]) for n in figures)]
                for row in table.to_dict("records")
            ],
            cells=len(found.grid.cells),
            failed=[(str(cell), found.folder.failure(cell).relative_to(found.folder.path)) for cell in found.failed],
        )  # fmt: skip


def shared_settings(cells: Sequence[Cell[Any]], varied: Sequence[str]) -> dict[str, str]:
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


def figure_text(name: str, value: Any) -> str:
    """A figure as the table lists it."""
    return "-" if pd.isna(value) else FIGURES[name][1](value)
