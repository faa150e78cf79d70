"""The picture of a family: a figure against compute, the Pareto front, baselines, and what a paper claims."""

import pandas as pd
from matplotlib.figure import Figure

from walras.experiments.reports.axes import legend_outside, metric_limits, plain_ticks
from walras.experiments.reports.grids.frontier_plot import COLOURS, FEWEST, MARKERS, REFERENCE
from walras.experiments.reports.picture_text import in_legend
from walras.experiments.training.families.claims import Claims
from walras.experiments.training.families.points import FRONT, SERIES, SHARE

CLAIMED = "#666666"


def pareto_picture(points: pd.DataFrame, metric: str, claims: Claims | None) -> Figure:
    """Means over seeds with their intervals, a line per series; points on the front are ringed and joined.

    Claimed points are hollow, and no part of the front.
    """
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.subplots()
    for i, (series, own) in enumerate(points.groupby(SERIES, sort=False)):
        line, colour = own.sort_values(SHARE), COLOURS[i % len(COLOURS)]
        axes.plot(line[SHARE], line["mean"], label=in_legend(str(series)), color=colour,
                  marker=MARKERS[i % len(MARKERS)], markersize=5, linewidth=1.2)  # fmt: skip
        told = line[line["seeds"] >= FEWEST]
        axes.vlines(told[SHARE], told["low"], told["high"], color=colour, linewidth=1.2)
    front = points[points[FRONT]].sort_values(SHARE)
    axes.plot(front[SHARE], front["mean"], linestyle=":", linewidth=1, color=REFERENCE, marker="o", markersize=11,
              fillstyle="none", label="Pareto front of what was measured")  # fmt: skip
    ends = [*points["mean"], *points.loc[points["seeds"] >= FEWEST, ["low", "high"]].to_numpy().ravel()]
    if claims is not None:
        axes.plot(claims.shares, claims.values, linestyle="none", marker="D", markersize=6, fillstyle="none",
                  color=CLAIMED, label=f"claimed in {claims.source.partition(',')[0]}")  # fmt: skip
        ends += claims.values
    axes.set_ylim(metric_limits(ends, max(ends, key=abs)))
    axes.set_xlim(-0.02, 1.03)
    plain_ticks(axes.xaxis, axes.yaxis)
    axes.set_xlabel("compute of the small model [share of the dense model's MACs]")
    axes.set_ylabel(f"{metric}, mean over seeds")
    axes.grid(alpha=0.25, linewidth=0.6)
    legend_outside(figure, axes, columns=3)
    return figure
