"""How a tax comes in, at equal steps: every rise at two taxes, and the one by a target at two budgets.

    python -P -m walras.experiments.benchmarks.rises --data GLUE_FOLDER

MiniLM on STS-B, the tax in the first half of the steps. A tax leads to no budget, so that what is used differs from
rise to rise; the metric is compared where the same is used, on the straight line between a rise's two points. Written
to the folder: rises_cells.jsonl (a row a training, with the expected compute at eleven points of the priced steps),
rises.csv (the same without those), rises_compared.csv and rises.png. A training whose row is there is not run again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from matplotlib.figure import Figure

from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.benchmarks.kept_trainings import measure
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.grids.statistics import Interval
from walras.experiments.reports.axes import from_zero, legend_outside, metric_limits, plain_ticks
from walras.experiments.reports.grids.frontier_plot import COLOURS, MARKERS
from walras.experiments.reports.plots import png
from walras.experiments.spec import SubjectSpec
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.families.points import at_share
from walras.experiments.training.train import TrainResult
from walras.files.writing import write_whole
from walras.market.pricing import RISES

TARGET, FIRST = "by-target", "constant"
TAXES = (0.2, 0.05)
BUDGETS = (0.5, 0.7)  # of the rise by a target, whose tax is the most that is asked for
MOST = 1.0
POINTS = 11  # of the course of the expected compute
KEY = ["rise", "price", "budget", "seed", "model", "task", "limit", "batch_size", "epochs"]


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the rows, tables and picture.")] = Path("runs/rises"),
    model: Annotated[str, typer.Option(help="Folder or hub id.")] = SubjectSpec().model,
    task: Annotated[str, typer.Option(help="Task by name.")] = "stsb",
    seeds: Annotated[list[int] | None, typer.Option(help="Seeds, one after the other. [default: 0, 1, 2]")] = None,
    limit: Annotated[int, typer.Option(help="Training rows at most.", min=2)] = 2000,
    batch_size: Annotated[int, typer.Option(help="Rows of a batch.", min=1)] = 32,
    epochs: Annotated[int, typer.Option(help="Passes over them.", min=1)] = 2,
) -> None:
    """Train what has no row yet; write and print the tables."""
    with ended_in_words():
        given = {"data": data, "model": model, "task": task, "limit": limit, "batch_size": batch_size, "epochs": epochs}
        designs = [
            TrainConfig.parse({**settings, **given, "seed": seed})
            for seed in seeds or (0, 1, 2)
            for settings in cells()
        ]
        with progress_bar() as progress:
            keyed = [(key(config), config) for config in designs]
            measure(keyed, figures, out / "rises_cells.jsonl", progress)
        publish(read_rows(out / "rises_cells.jsonl"), out)


def cells() -> list[dict[str, Any]]:
    """Settings of all trainings of a seed."""
    common = {"pricing": "tax", "priced": 0.5, "sentences": 128, "device": "cpu"}
    found: list[dict[str, Any]] = []
    for price, budget in zip(TAXES, BUDGETS, strict=True):
        found += [{"rise": rise, "price": price} for rise in RISES if rise != TARGET]
        found.append({"rise": TARGET, "price": MOST, "budget": budget})
    return [{**common, **own} for own in found]


def key(config: TrainConfig) -> dict[str, Any]:
    """What tells a training from all others."""
    economy, subject = config.economy, config.subject
    values = (
        economy.rise, economy.price, config.budget, config.seed, subject.model, subject.task, config.rows.limit,
        subject.batch_size, config.optimiser.epochs,
    )  # fmt: skip
    return dict(zip(KEY, values, strict=True))


def figures(result: TrainResult) -> dict[str, Any]:
    """Quality first, then what was used, and how it came down."""
    summary, paid = result.summary, result.steps.dropna(subset=["cost"])["cost"].to_numpy()
    places = np.linspace(0, len(paid) - 1, POINTS).round().astype(int)
    return {
        "metric": summary.metric.value, "dense": summary.metric.dense, "held_out": summary.held_out,
        "used": summary.used, "expected": summary.expected, "macs": summary.macs,
        "heads": summary.kept.get("head", 0), "ffn": summary.kept.get("ffn", 0), "steps": summary.steps,
        "seconds": summary.seconds, "course": [round(float(paid[i]), 4) for i in places],
    }  # fmt: skip


def publish(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Tables and picture of rows."""
    table = pd.DataFrame(rows)
    write_whole(out / "rises.csv", table.drop(columns="course").to_csv(index=False, float_format="%.6g"))
    found = compared(table)
    write_whole(out / "rises_compared.csv", found.to_csv(index=False, float_format="%.6g"))
    write_whole(out / "rises.png", png(picture(table)))
    output().print(table[["rise", "price", "budget", "seed", "metric", "held_out", "used"]].to_string(index=False))
    output().print(found.to_string(index=False))


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """By rise: the metric where as much is used as half-way between the two points of `FIRST`, and how far from it.

    A seed counts for a rise whose own two points enclose that share. Intervals are Student's over seeds (95 %).
    """
    apart: dict[str, list[tuple[float, float]]] = {}
    for _, own in table.groupby("seed"):
        first = own[own["rise"] == FIRST]
        share = float(first["used"].mean())
        there = at_share(first["used"], first["metric"], share)
        for rise, points in own.groupby("rise", sort=False):
            value = at_share(points["used"], points["metric"], share)
            if value is not None and there is not None:
                apart.setdefault(str(rise), []).append((value, value - there))
    found = []
    for rise, seeds in apart.items():
        metric, less = (Interval.from_sample(values) for values in zip(*seeds, strict=True))
        assert metric is not None
        assert less is not None
        found.append({"rise": rise, "seeds": less.count, "metric": metric.mean, f"minus {FIRST}": less.mean,
                      "low": less.low, "high": less.high})  # fmt: skip
    return pd.DataFrame(found)


def picture(table: pd.DataFrame) -> Figure:
    """The metric against what is used, and how the expected compute comes down at the higher tax or lower budget."""
    figure = Figure(figsize=(7.5, 8.0), layout="constrained")
    above, below = figure.subplots(2, 1)
    dense = float(table["dense"].mean())
    for i, (rise, own) in enumerate(table.groupby("rise", sort=False)):
        look = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        points = own.groupby(["price", "budget"])[["used", "metric"]].mean().sort_values("used")
        above.plot(points["used"], points["metric"], label=str(rise), **look)
        above.scatter(own["used"], own["metric"], s=12, alpha=0.5, linewidths=0, **look)
        least = own[(own["price"] == own["price"].max()) & (own["budget"] == own["budget"].min())]
        below.plot(np.linspace(0, 1, POINTS), np.mean([*least["course"]], axis=0), markersize=4, **look)
    above.axhline(dense, color="#666666", linestyle="-.", linewidth=0.9, label="before training")
    above.set_ylim(metric_limits(table["metric"], dense))
    above.set_xlabel("compute of the small model [share of the dense model's MACs]")
    above.set_ylabel("metric on the development split")
    from_zero(below, [1.0])
    below.set_xlabel("share of the priced steps")
    below.set_ylabel("expected compute\n[share of the dense model's MACs]")
    plain_ticks(above.xaxis, above.yaxis, below.xaxis, below.yaxis)
    legend_outside(figure, above, columns=4)
    return figure


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same rounding on every machine of a kind
    typer.run(main)
