"""What `walras train` prints."""

from dataclasses import asdict

from rich import box
from rich.table import Table

from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import count, number, percent, quality
from walras.experiments.reports.sentence import kept_units
from walras.experiments.training.summary import TrainSummary


def train_card(summary: TrainSummary) -> Table:
    """A training run, one line per figure."""
    table = Table(box=box.SIMPLE, show_header=False)
    metric = titled(asdict(summary.metric))
    rows = {
        "pricing": summary.recipe or summary.pricing,
        f"{metric}, dense": quality(summary.metric.dense),
        f"{metric}, after": quality(summary.metric.value),
        "MACs": f"{percent(summary.used)} of the dense model's (budget {percent(summary.budget)})",
        "units kept": kept_units(summary.as_dict()),
        "parameters": f"{count(summary.parameters)} of {count(summary.dense_parameters)}",
    }
    if summary.price is not None:
        rows["price"] = f"{number(summary.price)} of the loss for the dense model's compute"
    for batch, ms in summary.latency_ms.items():
        rows[f"latency, {batch} x {summary.length}"] = f"{number(ms.value)} ms, dense {number(ms.dense)} ms"
    for name, cell in rows.items():
        table.add_row(name, cell)
    return table
