"""What `walras train` prints."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from walras.experiments.grids.compare import reason
from walras.experiments.reports.frontier_tables import statistics_table
from walras.experiments.reports.metric import titled
from walras.experiments.training.grid import GridResult


def train_card(summary: Mapping[str, Any]) -> Table:
    """A training run, a line a figure."""
    table = Table(box=box.SIMPLE, show_header=False)
    metric, used = titled(summary["metric"]), summary["used"]
    rows = {
        "pricing": summary["recipe"] or summary["pricing"],
        f"{metric}, dense": f"{summary['metric']['dense']:.4f}",
        f"{metric}, after": f"{summary['metric']['value']:.4f}",
        "MACs": f"{used:.3f} of the dense model's (budget {summary['budget']:g})",
        "units kept": f"{summary['heads']} heads and {summary['ffn']} FFN blocks of {summary['units']}",
        "parameters": f"{summary['parameters']:,} of {summary['dense_parameters']:,}",
    }
    if summary["price"] is not None:
        rows["price"] = f"{summary['price']:.4g} of the loss for the dense model's compute"
    for batch, ms in summary["latency_ms"].items():
        rows[f"latency, {batch} x {summary['length']}"] = f"{ms['value']:.1f} ms, dense {ms['dense']:.1f} ms"
    for name, cell in rows.items():
        table.add_row(name, cell)
    return table


def print_trainings(console: Console, found: GridResult) -> None:
    """Means over seeds and paired differences, what failed, and where everything is."""
    place = found.folder.path
    if found.statistics is not None:
        console.print(statistics_table(found.statistics, titled(found.metric)))
        console.print(found.statistics.caution())
    elif len(found.table):
        console.print(f"No statistics: {found.grid.reference} has no finished run to compare with", soft_wrap=True)
    for cell in found.failed:
        why = reason(found.folder.failure(cell).read_text(encoding="utf-8"))
        console.print(f"Failed: {cell}: {why}", style="red", markup=False, soft_wrap=True)
    console.print(f"Table: {place / 'frontier.csv'}", soft_wrap=True)
