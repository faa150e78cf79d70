"""The picture of a comparison: values against compute, and paired differences to the reference."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from walras.experiments.grids.statistics import Interval, Statistics
from walras.experiments.reports.plots import plain

# Okabe and Ito's colours, told apart by the colour-blind; black is the reference's. Shapes tell the recipes apart too.
REFERENCE = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
MARKERS = "ovs^DPX"
LINES = ("-", "--", ":")


def frontier_picture(table: pd.DataFrame, statistics: Statistics, metric: str) -> Figure:
    """Two panels of a table in the columns of `walras.experiments.grids.statistics.SCHEMA` and its statistics."""
    budgets = sorted({s.budget for s in statistics.rows if s.budget is not None}, reverse=True)
    recipes = table["recipe"].unique().tolist()
    styles = _styles(recipes, statistics.against)
    paired = len(recipes) > 1
    figure = Figure(figsize=(11.5 if paired else 6.5, 4.6), layout="constrained")
    panels: Any = figure.subplots(1, 2 if paired else 1, width_ratios=[1, 1.25] if paired else [1], squeeze=False)[0]
    _values(panels[0], table, statistics, budgets, styles, metric)
    if paired:
        _differences(panels[1], statistics, budgets, recipes, styles, metric)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 9), frameon=False)
    return figure


def _styles(recipes: list[str], reference: str) -> dict[str, dict[str, Any]]:
    """Colour, shape and line of every recipe."""
    others = [r for r in recipes if r != reference]
    styles: dict[str, dict[str, Any]] = {
        recipe: {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i // len(COLOURS) % len(LINES)],
        }
        for i, recipe in enumerate(others)
    }
    return {**styles, reference: {"color": REFERENCE, "marker": "*", "linestyle": "-", "markersize": 9, "zorder": 4}}


def _values(
    axes: Any, table: pd.DataFrame, statistics: Statistics, budgets: list[float], styles: Any, metric: str
) -> None:
    """Means over seeds against the compute that the small models use, with bands of their intervals."""
    used = table.groupby(["recipe", "budget"])["macs"].mean() / 1e6
    for recipe in table["recipe"].unique():
        found = [(used[recipe, b], statistics.at(recipe, b).value) for b in budgets if (recipe, b) in used.index]
        points = [(x, value) for x, value in found if value is not None]
        x = [p[0] for p in points]
        axes.plot(x, [value.mean for _, value in points], label=plain(recipe), **{"markersize": 5, **styles[recipe]})
        low, high = ([_end(value, end) for _, value in points] for end in ("low", "high"))
        if len(points) == 1:
            axes.vlines(x, low, high, color=styles[recipe]["color"], linewidth=1.2)
        axes.fill_between(x, low, high, color=styles[recipe]["color"], alpha=0.15, linewidth=0)
    axes.axhline(float(table["dense"].mean()), color="#666666", linestyle="-.", linewidth=0.9, label="dense")
    axes.set_xlim(0.95 * float(used.min()), 1.05 * float(used.max()))  # recipes differ a little in what they use
    axes.set_xlabel("compute of the small model [M MACs a sequence]")
    axes.set_ylabel(f"{plain(metric)}, mean over seeds")
    axes.grid(alpha=0.25, linewidth=0.6)


def _differences(
    axes: Any, statistics: Statistics, budgets: list[float], recipes: list[str], styles: Any, metric: str
) -> None:
    """A group of intervals a budget, side by side; the vertical axis is linear near 0 and logarithmic beyond."""
    places: list[float | None] = [*budgets, *([None] if len(budgets) > 1 else [])]
    others = [r for r in recipes if r != statistics.against]
    offsets = np.linspace(-0.32, 0.32, len(others)) if len(others) > 1 else np.zeros(1)
    sizes = []
    for recipe, offset in zip(others, offsets, strict=True):
        for i, budget in enumerate(places):
            apart = statistics.at(recipe, budget).difference
            if apart is None:
                continue
            sizes.append(abs(apart.mean))
            reach = [[apart.mean - _end(apart, "low")], [_end(apart, "high") - apart.mean]]
            style = {**styles[recipe], "linestyle": "none"}
            axes.errorbar([i + offset], [apart.mean], yerr=reach, capsize=2.5, markersize=4.5, linewidth=1.2, **style)
    axes.axhline(0, color=REFERENCE, linewidth=1)
    if sizes and max(sizes) > 10 * max(min(sizes), 1e-12):
        axes.set_yscale("symlog", linthresh=max(float(np.quantile(sizes, 0.25)), 1e-12), linscale=1.0)
        axes.yaxis.set_major_formatter("{x:g}")
    for i in range(len(places) - 1):
        axes.axvline(i + 0.5, color="#cccccc", linewidth=0.6)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xticks(range(len(places)), ["mean of all" if b is None else f"{b:g}" for b in places])
    axes.set_xlabel("budget [share of dense MACs]")
    axes.set_ylabel(f"{plain(metric)}: recipe minus {plain(statistics.against)}, paired by seed")
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)


def _end(interval: Interval, name: str) -> float:
    """An end of the interval; the mean where there is none."""
    end = getattr(interval, name)
    return interval.mean if end is None else float(end)
