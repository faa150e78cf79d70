"""One picture of a run, or of several in one: price and use by round, and what is kept by layer and kind."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from walras.experiments.reports.picture_text import in_legend
from walras.experiments.reports.plots import LOOKS, titles
from walras.experiments.tracing.comparison import TracedRun


def overview(runs: Sequence[TracedRun]) -> Figure:
    """Runs are told apart by colour, line and marker; those of one network share the panels of its kinds.

    Args:
        runs: one or several; of rounds that only some of them have, only those are drawn.
    """
    kinds = list(dict.fromkeys(str(kind) for run in runs for kind in run.trace.last["kind"]))
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    parts: Any = figure.subfigures(2, 1)
    top, bottom = parts
    money, use = top.subplots(1, 2)
    panels = bottom.subplots(1, max(len(kinds), 1), squeeze=False)[0]
    for run, (marker, line, colour) in zip(runs, cycle(LOOKS), strict=False):
        look = {"marker": marker, "linestyle": line, "color": colour, "markersize": 4, "label": in_legend(run.name)}
        rounds = run.trace.rounds
        money.plot(rounds["round"], rounds["price"], **look)
        use.plot(rounds["round"], rounds["used"], **look)
        for axes, kind in zip(panels, kinds, strict=False):
            kept = _kept_by_layer(run.trace.layers, kind)
            axes.plot(kept.index, kept.to_numpy(), **look)
    _label(money, "round", f"price of the dense compute\n[{_unit(runs)}]")
    _label(use, "round", "used [share of dense compute]")
    for axes, kind in zip(panels, kinds, strict=False):
        axes.set_title(titles(kind), fontsize=10)
        _label(axes, "layer", "kept [share of the units]")
        axes.set_ylim(-0.03, 1.05)
    if len(runs) > 1:
        figure.legend(*money.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _kept_by_layer(layers: "pd.DataFrame", kind: str) -> "pd.Series[float]":
    """Share of a kind's units that are kept, by layer."""
    own = layers[layers["kind"].astype(str) == kind].set_index("layer")
    kept: pd.Series[float] = own["sum"] / own["size"]
    return kept


def _unit(runs: Sequence[TracedRun]) -> str:
    """What prices are counted in."""
    units = {run.unit for run in runs}
    if len(units) > 1:
        return "each run's own unit of value"
    return units.pop() or "money"


def _label(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    first, last = axes.get_xlim()
    if last - first < 2:  # one round or layer, which would have a scale of fractions
        middle = round((first + last) / 2)
        axes.set_xlim(middle - 1, middle + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
