"""What `walras compare` and grids of training runs print."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from walras.errors import InputError
from walras.experiments.designs.sensitivity import sensitivity_of
from walras.experiments.grids.cell import BUDGET, shown
from walras.experiments.grids.runner import GridResult, reason
from walras.experiments.grids.statistics import Statistics
from walras.experiments.reports.grids.sensitivity_report import print_sensitivity
from walras.experiments.reports.metric import titled
from walras.files.contents import read_text

SHOWN = 5  # failed cells that are told on the terminal


def print_grid(console: Console, found: GridResult[Any]) -> None:
    """Means and paired differences by budget, what failed, and where everything is."""
    place = found.folder.path
    if found.statistics is not None:
        console.print(statistics_table(found.statistics, titled(found.metric)))
        console.print(found.statistics.caution())
    if found.grid.sample is not None:
        print_sensitivity(console, sensitivity_of(found))
    for cell in found.failed[:SHOWN]:
        file = found.folder.failure(cell)
        why = reason(_told(file)) if file.is_file() else "it was not run"
        console.print(f"Failed: {cell}: {why}", style="red", soft_wrap=True)
    if found.failed:
        told = f"{len(found.failed)} of {len(found.grid.cells)} cells failed: {place / 'failed'}"
        console.print(told, style="red", soft_wrap=True)
    if found.statistics is not None or (found.grid.sample is not None and len(found.table)):
        told = f"Report: {place / 'report.html'}   Table: {place / 'frontier.parquet'}"
        console.print(told, soft_wrap=True)
    elif found.grid.against is not None and (found.failed or len(found.table)):
        told = f"No statistics: {found.grid.against} has no finished cell to compare with"
        console.print(told, soft_wrap=True)


def _told(file: Path) -> str:
    try:
        return read_text(file, "reason")
    except InputError as error:  # what is damaged is no reason to tell nothing
        return str(error)


def statistics_table(statistics: Statistics, metric: str) -> Table:
    """A row per combination of labels, by budget."""
    table = Table(box=box.SIMPLE_HEAD)
    axes = [name for name in statistics.axes if name != BUDGET]
    with_budgets = BUDGET in statistics.axes
    left = [*axes, ""]
    minus = f"minus {statistics.against}"
    for name in (*((BUDGET,) if with_budgets else ()), *axes, "seeds", metric, minus, ""):
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    last: Any = ""
    for found in statistics.rows:
        if with_budgets and last not in ("", found.budget):
            table.add_section()
        seeds = found.value.count if found.value else 0
        cells = [str(found.value or "none"), str(found.difference or ""), found.verdict]
        budget = "all" if found.budget is None else shown(found.budget)
        first = [budget if found.budget != last else ""] if with_budgets else []
        table.add_row(*first, *(shown(label) for label in found.series), str(seeds), *cells)
        last = found.budget
    return table
