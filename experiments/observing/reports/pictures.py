"""Pictures of an observation: the production-possibility curve, inequality against scarcity, heads on sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from walras.escaping import one_line
from walras.experiments.observing.evaluation import ELIMINATION
from walras.experiments.observing.examples import ExampleHead
from walras.experiments.reports.axes import difference_limits, legend_outside, metric_limits, plain_ticks
from walras.experiments.reports.plots import BLUE, GREY, ORANGE, SHADES

GREEN, PURPLE = "#009E73", "#CC79A7"  # of Okabe and Ito's palette too
_MILLION = 1e6
_TOKEN = 24  # characters of a token that a heat map has room for


def frontier(table: pd.DataFrame, rule: str, metric: str) -> Figure:
    """Metric against MACs of a sequence, a row of panels a pattern: all curves, and the theoretical ones close up."""
    patterns = _patterns(table)
    figure, panels = _grid(len(patterns), 8.6, 3.8)
    for (left, right), pattern in zip(panels, patterns, strict=True):
        rows = table[table["constrain"] == pattern]
        curves = (
            (_of(rows, rule, "none"), "theoretical", f"{rule}, theoretical", BLUE, "o-"),
            (_of(rows, rule, "random-k"), "theoretical", "random-k, theoretical", ORANGE, "s--"),
            (_of(rows, rule, "none"), "measured", f"{rule}, measured", BLUE, "v:"),
            (_of(table, ELIMINATION, "none"), "measured", "token elimination, measured", GREEN, "D-"),
        )
        dense = rows[rows["control"] == "unconstrained"].iloc[0]
        for axes, some in ((left, curves), (right, curves[:2])):
            for part, counted, label, colour, style in some:
                if len(part):
                    x = part[f"{counted}_total"] / _MILLION
                    axes.plot(x, part["value"], style, color=colour, markersize=4, label=label)
            for counted, marker in (("theoretical", "*"), ("measured", "P"))[: 2 if axes is left else 1]:
                x = dense[f"{counted}_total"] / _MILLION
                axes.plot([x], [dense["value"]], marker, color=GREY, markersize=8, label=f"dense, {counted}")
            axes.set_xlabel("compute of a mean sequence [M MACs]")
            axes.set_ylim(metric_limits(table["value"], float(dense["value"])))
            plain_ticks(axes.xaxis, axes.yaxis)
            axes.grid(alpha=0.25)
        _budgets(right, curves[0][0], "theoretical_total", _MILLION)
        _budgets(left, curves[3][0], "measured_total", _MILLION)
        left.set_title(f"constrained: {pattern}", fontsize=10)
        right.set_title("theoretical only, close up", fontsize=10)
        left.set_ylabel(metric)
    legend_outside(figure, panels[0][0])
    return figure


def inequality(table: pd.DataFrame, rule: str, unit: str) -> Figure:
    """How Gini and entropy of the softmax that layers compute, before any rule, move as the budget shrinks.

    A row a pattern, of the unconstrained layers where there are any, which is the paper's hypothesis; else of the
    constrained ones. Every curve is the difference to the same weights where nothing is scarce.
    """
    patterns = _patterns(table)
    figure, panels = _grid(len(patterns), 8.6, 4.2)
    for row, pattern in zip(panels, patterns, strict=True):
        rows = table[table["constrain"] == pattern]
        layers = "unconstrained" if rows["unconstrained_gini"].notna().any() else "constrained"
        for axes, statistic, label in zip(row, ("gini", "entropy"), ("Gini", "entropy [nats]"), strict=True):
            column, changes, most = f"{layers}_before_{statistic}", list[float](), 1.0  # a Gini coefficient's
            for control, baseline, name, colour, style in (
                ("none", "unconstrained", rule, BLUE, "o-"),
                ("random-k", "unconstrained", "random-k", ORANGE, "s--"),
                ("random-weights", "random-weights", f"random weights, {rule}", PURPLE, "^-."),
            ):
                part = _of(rows, rule, control)
                if len(part):
                    base = float(_of(rows, "none", baseline)[column].iloc[0])
                    changes += [*(part[column] - base)]
                    most = max(most, base) if statistic == "entropy" else most
                    label_ = f"{name} ({base:.3f})"
                    axes.plot(part["budget"], part[column] - base, style, color=colour, markersize=4, label=label_)
            axes.axhline(0, color=GREY, linewidth=1)
            if (rows["budget"] >= 1).any():
                axes.set_xscale("log", base=2)
                axes.xaxis.set_major_formatter("{x:g}")
            axes.invert_xaxis()
            axes.set_xlabel(f"budget [{unit}]; scarcer to the right")
            axes.set_ylabel(f"change of {label}")
            axes.set_title(f"constrained: {pattern}; shown: {layers} layers", fontsize=9)
            axes.set_ylim(difference_limits(changes, most))
            plain_ticks(axes.yaxis)
            axes.grid(alpha=0.25)
            below = {
                "loc": "upper center",
                "bbox_to_anchor": (0.5, -0.2),
                "title": "where nothing is scarce, in brackets",
            }
            axes.legend(fontsize=8, title_fontsize=8, frameon=False, **below)
    return figure


def heat_maps(shown: Sequence[ExampleHead], rule: str, budget: float) -> Figure:
    """Weights of heads, dense beside sparse: one row per sentence, two columns per head. White is exactly 0."""
    heads = max(1, len({s.head for s in shown}))
    rows = -(-len(shown) // heads)
    figure = Figure(figsize=(5.6 * heads, 3.3 * rows), layout="constrained")
    panels: NDArray[Any] = figure.subplots(rows, 2 * heads, squeeze=False)
    for place, s in enumerate(shown):
        pair = panels[place // heads][2 * (place % heads) :]
        for axes, weights, name in ((pair[0], s.dense, "dense"), (pair[1], s.sparse, f"{rule} {budget:g}")):
            seen = np.where(weights > 0, weights, np.nan)
            image = axes.imshow(seen, cmap=SHADES, vmin=0, vmax=1, interpolation="none")
            axes.set_title(f"layer {s.layer}, head {s.head}: {name}", fontsize=8)
            labels = [one_line(token, _TOKEN) for token in s.tokens]
            axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=6)
            axes.set_yticks(range(len(labels)), labels if axes is panels[place // heads][0] else [], fontsize=6)
    figure.colorbar(image, ax=panels.ravel().tolist(), shrink=0.6, label="weight of the key, for the query of the row")
    return figure


def _patterns(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table.loc[table["control"] == "unconstrained", "constrain"].tolist()))


def _of(rows: pd.DataFrame, rule: str, control: str) -> pd.DataFrame:
    return rows[(rows["rule"] == rule) & (rows["control"] == control)].sort_values("budget")


def _budgets(axes: Any, part: pd.DataFrame, column: str, scale: float) -> None:
    """Write budgets beside their points."""
    for row in part.to_dict("records"):
        place = (row[column] / scale, row["value"])
        axes.annotate(f"{row['budget']:g}", place, xytext=(3, 3), textcoords="offset points", fontsize=6)


def _grid(rows: int, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=(width, height * rows), layout=ConstrainedLayoutEngine(hspace=0.08))
    panels: NDArray[Any] = figure.subplots(rows, 2, squeeze=False)
    return figure, panels
