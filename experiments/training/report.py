"""The report of a training run: pictures and one HTML file with them inside."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from walras.experiments.reports import plots
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages import write_page
from walras.experiments.reports.sentence import kept_units

if TYPE_CHECKING:
    from walras.experiments.training.train import TrainResult

_WINDOW = 20  # steps over which the loss is averaged


def write_report(folder: Path, result: "TrainResult") -> None:
    """Write `training.png`, `allocation.png` and `report.html`."""
    units, summary = result.units, result.summary.as_dict()
    kept = pd.DataFrame({"round": 1, "layer": units.layer, "kind": units.kind, "index": units.index,
                         "quantity": result.keep.numpy().astype(float)})  # fmt: skip
    pictures = {
        "training": (training(result), "Loss, expected compute and its price, by step."),
        "allocation": (plots.allocation(kept), "Units that stay, by layer: filled cells stay, crosses leave."),
    }
    template = Path(__file__).with_name("report.html")
    told = {"metric": titled(summary["metric"]), "kept": kept_units(summary)}
    write_page(folder, template, pictures, summary=summary, **told)


def training(result: "TrainResult") -> Figure:
    """The loss and the held-out metric above; expected compute and price below, where a price was paid."""
    steps, evaluations, summary = result.steps, result.evaluations, result.summary
    priced = "cost" in steps
    figure = Figure(figsize=(7.5, 5.2 if priced else 3.0), layout="constrained")
    panels: Any = figure.subplots(2 if priced else 1, 1, sharex=True, squeeze=False)[:, 0]
    smooth = steps["loss"].rolling(_WINDOW, min_periods=1).mean()
    panels[0].plot(steps["step"], smooth, color=plots.BLUE, label=f"loss, mean of {_WINDOW} steps")
    panels[0].set_ylabel("training loss")
    if len(evaluations):
        value = evaluations["value"] if summary.metric.higher_is_better else -evaluations["value"]
        right = panels[0].twinx()
        right.plot(evaluations["step"], value, "o--", color=plots.ORANGE, markersize=4, label="held-out rows (right)")
        right.set_ylabel(titled(asdict(summary.metric)))
        right.legend(frameon=False, loc="lower right")
    panels[0].legend(frameon=False, loc="upper right")
    if priced:
        paid = steps.dropna(subset=["cost"])
        panels[1].plot(paid["step"], paid["cost"], color=plots.BLUE, label="expected cost")
        if summary.cost == "macs" and np.isfinite(summary.budget):
            panels[1].axhline(summary.budget, color=plots.GREY, linestyle=":", label="budget")
        panels[1].set_ylabel("share of dense MACs" if summary.cost == "macs" else "activation cost")
        right = panels[1].twinx()
        right.plot(paid["step"], paid["price"], "--", color=plots.ORANGE, label="price (right)")
        right.set_ylabel("price [loss per dense model's compute]")
        panels[1].legend(frameon=False, loc="lower left")
        right.legend(frameon=False, loc="upper right")
    panels[-1].set_xlabel("step")
    return figure
