"""The report of a training run: the verdict, which units stay, and how training came to that."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from walras.experiments.reports import plots
from walras.experiments.reports.axes import from_zero, metric_limits, plain_ticks
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import ABSENT, count, number, percent, quality
from walras.experiments.reports.pages.page import Page, Picture, Section, Table
from walras.experiments.reports.pages.writing import write_page
from walras.experiments.reports.run_report import made_of
from walras.experiments.reports.sentence import in_one_sentence
from walras.experiments.reports.verdict import allocation_notes, verdict_table
from walras.experiments.store.versions import VERSIONS, versions

if TYPE_CHECKING:
    from walras.experiments.training.train import TrainResult

_WINDOW = 20  # steps over which the loss is averaged
_FEW = 30  # steps that are marked one by one; of a single one there is no line


def write_report(folder: Path, result: "TrainResult", settings: Any = None, place: Path | None = None) -> None:
    """Write `training.png`, `allocation.png` and `report.html`.

    Args:
        folder: where they go.
        result: what training came to.
        settings: of the command; None where they are not known.
        place: where the folder will be at the end, which may be in that of a sweep.
    """
    units, summary = result.units, {**result.summary.as_dict(), VERSIONS: versions()}
    kept = pd.DataFrame({"round": 1, "layer": units.layer, "kind": units.kind, "index": units.index,
                         "quantity": result.keep.numpy().astype(float)})  # fmt: skip
    allocation = Picture("allocation", plots.allocation(kept), "Which units of every layer stay, by kind.",
                         "Filled cells stay, crosses leave.")  # fmt: skip
    curves = Picture("training", training(result), "Training by step: loss, held-out metric, compute and its price.",
                     "Losses, compute and prices start at 0; the axis of the metric spans at least a fifth of the "
                     "dense model's figure.")  # fmt: skip
    by = f", units removed before training by {summary['recipe']}" if summary.get("recipe") else ""
    about = (
        f"{summary['model']}: {count(summary['steps'])} steps in {count(summary['epochs'])} epochs, price by "
        f"{summary['pricing']}{by}. Compute is counted in multiply-accumulates (MACs) of the layers, for "
        f"{summary['length']} tokens."
    )
    sections = [
        Section("Allocation", [*allocation_notes(summary), allocation]),
        Section("Economics of training", [_economics(summary), curves]),
    ]
    page = Page(f"{summary['task']}, trained under a price of compute", about, in_one_sentence(summary),
                [verdict_table(summary, "Milliseconds were not measured.")], sections,
                made_of(summary, settings, place or folder))  # fmt: skip
    write_page(folder, page)


def _economics(summary: dict[str, Any]) -> Table:
    """Budget, price, and what gates were expected to use."""
    rows = [["budget", percent(summary["budget"])], ["used", percent(summary["used"])]]
    if summary.get("expected") is not None:
        rows.append(["expected when units settled", percent(summary["expected"])])
    paid = (
        f"{number(summary['price'])} of the loss" if summary.get("price") is not None else f"{ABSENT} (none was paid)"
    )
    rows.append(["price of the dense compute at the end", paid])
    if summary.get("held_out") is not None:
        rows.append(["held-out rows, of the weights that were chosen", quality(summary["held_out"])])
    return Table(("", "at the end"), rows, "What compute cost")


def training(result: "TrainResult") -> Figure:
    """The loss, the held-out metric, and where a price was paid expected compute and the price, one below the other."""
    steps, evaluations, summary = result.steps, result.evaluations, result.summary
    parts = ["loss", *(["metric"] if len(evaluations) else []), *(["cost", "price"] if "cost" in steps else [])]
    figure = Figure(figsize=(7.5, 0.8 + 1.9 * len(parts)), layout="constrained")
    panels: Any = dict(zip(parts, figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0], strict=True))
    smooth = steps["loss"].rolling(_WINDOW, min_periods=1).mean()
    panels["loss"].plot(steps["step"], smooth, color=plots.BLUE)
    panels["loss"].set_ylabel(f"training loss,\nmean of {_WINDOW} steps")
    from_zero(panels["loss"], smooth)
    if "metric" in panels:
        value = evaluations["value"] if summary.metric.higher_is_better else -evaluations["value"]
        panels["metric"].plot(evaluations["step"], value, "o--", color=plots.ORANGE, markersize=4)
        panels["metric"].set_ylabel(f"{titled(asdict(summary.metric))},\nheld-out rows")
        panels["metric"].set_ylim(metric_limits(value, summary.metric.dense))
    if "cost" in panels:
        paid, macs = steps.dropna(subset=["cost"]), summary.cost == "macs"
        mark = "o" if len(paid) < _FEW else ""
        panels["cost"].plot(paid["step"], paid["cost"], marker=mark, color=plots.BLUE, label="expected cost")
        limits = [*paid["cost"]]
        if macs and np.isfinite(summary.budget):
            panels["cost"].axhline(summary.budget, color=plots.GREY, linestyle=":", label="budget")
            limits.append(summary.budget)
        from_zero(panels["cost"], limits)
        panels["cost"].set_ylabel("share of\ndense MACs" if macs else "activation cost")
        above = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.1}
        panels["cost"].legend(ncols=2, frameon=False, **above)
        panels["price"].plot(paid["step"], paid["price"], "--", marker=mark, color=plots.ORANGE)
        panels["price"].set_ylabel("price [loss per dense\nmodel's compute]")
        from_zero(panels["price"], paid["price"])
    for axes in panels.values():
        plain_ticks(axes.yaxis)
    panels[parts[-1]].set_xlabel("step")
    panels[parts[-1]].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
