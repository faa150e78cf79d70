"""The picture of a grid: values against compute, and paired differences to the reference."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from walras.experiments.grids.cell import BUDGET, shown, told
from walras.experiments.grids.statistics import Interval, Statistics
from walras.experiments.reports.axes import difference_limits, legend_outside, metric_limits, plain_ticks
from walras.experiments.reports.picture_text import in_legend

# Okabe and Ito's colours, told apart by the colour-blind; black is the reference's. Shapes tell lines apart too.
REFERENCE = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
MARKERS = "ovs^DPX"
STARS = "*hp8"
LINES = ("-", "--", ":")
FEWEST = 3
"""Seeds of which an interval is shown: of two, Student's is twelve times their spread."""


Series = tuple[Any, ...]  # labels on all axes but that of budgets; each series is a line
Styles = dict[Series, dict[str, Any]]


def frontier_picture(table: pd.DataFrame, statistics: Statistics, metric: str) -> Figure:
    """Two panels of a grid's table, whose columns before `seed` are its axes, and its statistics."""
    styles = _styles(statistics)
    paired = statistics.comparisons > 0
    figure = Figure(figsize=(7.5, 8.4 if paired else 4.6), layout="constrained")
    panels: Any = figure.subplots(2 if paired else 1, 1, squeeze=False)[:, 0]
    _values(panels[0], table, statistics, styles, metric)
    if paired:
        _differences(panels[1], statistics, styles, metric, float(table["dense"].mean()))
    legend_outside(figure, panels[0], columns=4)
    return figure


def series_names(statistics: Statistics) -> dict[Series, str]:
    """What every series is called: by its labels on the axes that have several."""
    axes = [name for name in statistics.axes if name != BUDGET]
    several = [i for i in range(len(axes)) if len({series[i] for series in statistics.series}) > 1]
    chosen = several or range(len(axes))
    return {
        series: ", ".join(told(axes[i], series[i]) for i in chosen) or "all runs" for series in statistics.series
    }  # fmt: skip


def _styles(statistics: Statistics) -> Styles:
    """Colour, shape and line of every series; black stars for those that have the reference's value."""
    found: Styles = {}
    others = [series for series in statistics.series if not statistics.is_reference(series)]
    for i, series in enumerate(others):
        found[series] = {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i // len(COLOURS) % len(LINES)],
        }
    references = [series for series in statistics.series if statistics.is_reference(series)]
    for i, series in enumerate(references):
        line = LINES[i % len(LINES)]
        found[series] = {"color": REFERENCE, "marker": STARS[i % len(STARS)], "linestyle": line, "markersize": 9,
                         "zorder": 4}  # fmt: skip
    return found


def _values(axes: Any, table: pd.DataFrame, statistics: Statistics, styles: Styles, metric: str) -> None:
    """Means over seeds against the compute that the small models use, with bands of their intervals.

    Below three seeds an interval says nothing, so every seed is a point of its own.
    """
    names = series_names(statistics)
    cells = {_labels(key): own for key, own in table.groupby([*statistics.axes], sort=False, dropna=False)}
    used = {key: own["macs"].mean() / 1e6 for key, own in cells.items()}
    dense, ends = float(table["dense"].mean()), list[float]()
    for series in statistics.series:
        found = [s for s in statistics.rows if s.series == series and tuple(s.labels.values()) in used and s.value]
        points = [(used[tuple(s.labels.values())], s.value, cells[tuple(s.labels.values())]) for s in found if s.value]
        points.sort(key=lambda point: -point[0])
        x, means = [place for place, _, _ in points], [value.mean for _, value, _ in points]
        look = {"markersize": 5, **styles[series]}
        axes.plot(x, means, label=in_legend(names[series]), **look)
        colour, few = look["color"], any(value.count < FEWEST for _, value, _ in points)
        low, high = ([_end(value, end) for _, value, _ in points] for end in ("low", "high"))
        if few:
            for _, value, own in points:
                if value.count > 1:
                    dots = {"marker": look["marker"], "s": 14, "alpha": 0.5, "linewidths": 0}
                    axes.scatter(own["macs"] / 1e6, own["value"], color=colour, label="_seeds", **dots)
            ends += [*table["value"]]
        else:
            if len(points) == 1:
                axes.vlines(x, low, high, color=colour, linewidth=1.2)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            ends += [*low, *high]
        ends += means
    axes.axhline(dense, color="#666666", linestyle="-.", linewidth=0.9, label="dense")
    axes.set_xlim(0.95 * min(used.values()), 1.05 * max(used.values()))  # series differ a little in what they use
    axes.set_ylim(metric_limits(ends, dense))
    plain_ticks(axes.xaxis, axes.yaxis)
    axes.set_xlabel("compute of the small model [M MACs per sequence]")
    axes.set_ylabel(f"{metric}, mean over seeds")
    axes.grid(alpha=0.25, linewidth=0.6)


def _labels(key: Any) -> tuple[Any, ...]:
    """Labels of a group, also of one axis."""
    return key if isinstance(key, tuple) else (key,)


def _differences(axes: Any, statistics: Statistics, styles: Styles, metric: str, dense: float) -> None:
    """A group of intervals per budget, side by side; below three seeds points alone."""
    places = statistics.budgets
    others = list(dict.fromkeys(s.series for s in statistics.rows if s.difference is not None))
    offsets = np.linspace(-0.32, 0.32, len(others)) if len(others) > 1 else np.zeros(1)
    ends = list[float]()
    for series, offset in zip(others, offsets, strict=True):
        for i, budget in enumerate(places):
            apart = statistics.of_series(series, budget).difference
            if apart is None:
                continue
            told = apart if apart.count >= FEWEST else Interval(apart.mean, None, None, apart.count)
            low, high = _end(told, "low"), _end(told, "high")
            ends += [low, high]
            style = {**styles[series], "linestyle": "none", "capsize": 2.5, "markersize": 4.5, "linewidth": 1.2}
            axes.errorbar([i + offset], [apart.mean], yerr=[[apart.mean - low], [high - apart.mean]], **style)
    axes.axhline(0, color=REFERENCE, linewidth=1)
    axes.set_ylim(difference_limits(ends, dense))
    plain_ticks(axes.yaxis)
    for i in range(len(places) - 1):
        axes.axvline(i + 0.5, color="#cccccc", linewidth=0.6)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xticks(range(len(places)), ["mean of all" if b is None else shown(b) for b in places])
    axes.set_xlabel("budget [share of the dense model]")
    against = statistics.against
    axes.set_ylabel(f"{metric}:\n{against.axis} minus {against}, paired by seed")
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)


def _end(interval: Interval, name: str) -> float:
    """An end of the interval; the mean where there is none."""
    end = getattr(interval, name)
    return interval.mean if end is None else float(end)
