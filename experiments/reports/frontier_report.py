"""The report of a grid: one HTML file with its picture inside, and the picture beside it."""

from pathlib import Path
from typing import Any

from walras.experiments.grids.cell import SEED, shown
from walras.experiments.grids.runner import GridResult
from walras.experiments.reports.frontier_plot import frontier_picture, series_names
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages import write_page

FIGURES = ("macs", "parameters", "latency_ms", "value", "dense")  # columns of the table that the report lists


def write_frontier_report(found: GridResult[Any]) -> None:
    """Write `frontier.png` and `report.html` of a `GridResult`; nothing where it has no statistics."""
    statistics, table = found.statistics, found.table
    if statistics is None:
        return
    metric, budget = titled(found.metric), {None: "mean of all"}
    alt = f"{metric} against compute, and differences to {statistics.against} by budget"
    names = series_names(statistics)
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
        axes=[*statistics.axes, SEED],
        shown=shown,
        rows=table[[*statistics.axes, SEED, *(n for n in FIGURES if n in table)]]
        .astype(object).where(table.notna(), None).to_dict("records"),
        cells=len(found.grid.cells),
        failed=[(str(cell), found.folder.failure(cell).relative_to(found.folder.path)) for cell in found.failed],
    )  # fmt: skip
