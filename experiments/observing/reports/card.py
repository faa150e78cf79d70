"""What `walras observe` prints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from walras.experiments.observing.observe import ObserveResult
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import decimals, number, quality, short

# H is entropy; "before" the rule; "free" are layers that are not constrained.
_COLUMNS = {
    "active": "active", "kept": "kept\nkeys", "gini": "Gini", "entropy": "H\n[nats]",
    "before_gini": "Gini\nbefore", "unconstrained_gini": "Gini\nfree", "unconstrained_entropy": "H\nfree",
}  # fmt: skip


def print_observed(console: Console, found: ObserveResult, place: Path) -> None:
    """One table per pattern of constrained layers, warnings, and where everything is."""
    for pattern in dict.fromkeys(row["constrain"] for row in found.summary.rows):
        console.print(_table(found.summary.as_dict(), pattern))
    for text in found.warnings:
        console.print(f"Warning: {text}", style="yellow", soft_wrap=True)
    console.print(f"Report: {place / 'report.html'}   Table: {place / 'observe.parquet'}", soft_wrap=True)


def _table(summary: dict[str, Any], pattern: str) -> Table:
    table = Table(title=f"Constrained: {pattern}", box=box.SIMPLE_HEAD)
    macs = {"theoretical_total": "M MACs\ntheory", "measured_total": "M MACs\nrun"}
    for i, name in enumerate(("", "budget", titled(summary["metric"]), *_COLUMNS.values(), *macs.values())):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in summary["rows"]:
        if row["constrain"] == pattern:
            figures = {name: decimals(row[name]) for name in _COLUMNS}
            figures |= {"active": "inactive"} if row["inactive"] else {}
            compute = (number(row[name] / 1e6) for name in macs)
            table.add_row(_label(row), _budget(row), quality(row["value"]), *figures.values(), *compute)
    return table


def _label(row: Mapping[str, Any]) -> str:
    """The rule, or the control that stands beside it."""
    return str(row["rule"] if row["control"] == "none" else row["control"])


def _budget(row: Mapping[str, Any]) -> str:
    return "" if row["budget"] is None else short(row["budget"])
