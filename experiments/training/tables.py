"""What `walras train` prints."""

from dataclasses import asdict

from rich import box
from rich.table import Table

from walras.experiments.reports.metric import titled
from walras.experiments.reports.sentence import kept_units
from walras.experiments.training.summary import TrainSummary


def train_card(summary: TrainSummary) -> Table:
    """A training run, one line per figure."""
    table = Table(box=box.SIMPLE, show_header=False)
    metric = titled(asdict(summary.metric))
    rows = {
        "pricing": summary.recipe or summary.pricing,
        f"{metric}, dense": f"{summary.metric.dense:.4f}",
        f"{metric}, after": f"{summary.metric.value:.4f}",
        "MACs": f"{summary.used:.3f} of the dense model's (budget {summary.budget:g})",
        "units kept": kept_units(summary.as_dict()),
        "parameters": f"{summary.parameters:,} of {summary.dense_parameters:,}",
    }
    if summary.price is not None:
        rows["price"] = f"{summary.price:.4g} of the loss for the dense model's compute"
    for batch, ms in summary.latency_ms.items():
        rows[f"latency, {batch} x {summary.length}"] = f"{ms.value:.1f} ms, dense {ms.dense:.1f} ms"
    for name, cell in rows.items():
        table.add_row(name, cell)
    return table
