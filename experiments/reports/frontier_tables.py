"""What `walras compare` prints."""

from rich import box
from rich.console import Console
from rich.table import Table

from walras.experiments.grids.compare import Comparison, reason
from walras.experiments.grids.statistics import Statistics
from walras.experiments.reports.metric import titled

SHOWN = 5  # failed cells that are told on the terminal


def print_comparison(console: Console, found: Comparison) -> None:
    """Means and paired differences by budget, what failed, and where everything is."""
    place = found.folder.path
    if found.statistics is not None:
        console.print(statistics_table(found.statistics, titled(found.metric)))
        console.print(found.statistics.caution())
    for cell in found.failed[:SHOWN]:
        why = reason(found.folder.failure(cell).read_text(encoding="utf-8"))
        console.print(f"Failed: {cell}: {why}", style="red", markup=False, soft_wrap=True)
    if found.failed:
        console.print(
            f"{len(found.failed)} of {len(found.sweep.cells)} cells failed: {place / 'failed'}",
            style="red",
            soft_wrap=True,
        )
    if found.statistics is not None:
        console.print(f"Report: {place / 'report.html'}   Table: {place / 'frontier.parquet'}", soft_wrap=True)
    elif found.failed:
        console.print(f"No statistics: {found.sweep.against} has no finished cell to compare with", soft_wrap=True)


def statistics_table(statistics: Statistics, metric: str) -> Table:
    """A row a recipe and budget."""
    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(("budget", "recipe", "seeds", metric, f"minus {statistics.against}", "")):
        table.add_column(name, justify="left" if i in (1, 5) else "right", no_wrap=True)
    last: float | str | None = ""
    for found in statistics.rows:
        if last not in ("", found.budget):
            table.add_section()
        budget = "all" if found.budget is None else f"{found.budget:g}"
        seeds = found.value.count if found.value else 0
        cells = (str(found.value or "none"), str(found.difference or ""), found.verdict)
        table.add_row(budget if found.budget != last else "", found.recipe, str(seeds), *cells)
        last = found.budget
    return table
