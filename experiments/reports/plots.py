"""Pictures of a run: labelled axes with units, told apart by shape and hatching as well as by colour."""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from walras.experiments.reports.axes import from_zero, legend_outside, metric_limits, plain_ticks
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import quality
from walras.experiments.reports.pages.svg import inline_svg
from walras.experiments.reports.picture_text import in_legend, settle_texts, without_remarks

LOOKS = (
    ("o", "-", "#0072B2"), ("s", "--", "#D55E00"), ("^", ":", "#009E73"), ("v", "-.", "#CC79A7"), ("D", "-", "#000000"),
)  # fmt: skip
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"  # Okabe and Ito's colour-blind-safe palette
TALLEST, MOST_TICKS = 30, 100  # inches of a picture, and layers whose numbers are written in it
CELLS = 96  # most cells per row that can be told apart
MANY = 400  # points of a line that a page's picture has as dots: so many shapes would make it large
SHADES = LinearSegmentedColormap.from_list("shades", [to_rgba(BLUE, 0.06), to_rgba(BLUE, 1.0)])
"""From nearly nothing to blue, for shares: on light paper and on dark."""


def price_path(rounds: pd.DataFrame, unit: str) -> Figure:
    """Clearing price and budget by round."""
    figure, axes = _figure(6, 3.2)
    axes.plot(rounds["round"], rounds["price"], "o-", color=BLUE, label="clearing price")
    axes.set_xlabel("round")
    axes.set_ylabel(f"price of the dense compute\n[{unit}]")
    from_zero(axes, rounds["price"])
    plain_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    share = axes.twinx()
    share.plot(rounds["round"], rounds["budget"], "s--", color=ORANGE, label="budget")
    share.set_ylabel("budget [share of dense compute]")
    share.set_ylim(0, 1.05)
    lines = [*axes.get_lines(), *share.get_lines()]
    names = [str(line.get_label()) for line in lines]
    figure.legend(lines, names, loc="outside upper center", ncols=2, frameon=False)
    return figure


def allocation(trace: pd.DataFrame) -> Figure:
    """Which units of every layer stay, one panel per kind: filled cells; cells with a cross leave.

    Of layers with more units than cells that can be told apart, a cell is some neighbours, and its shade their share
    that stays.
    """
    last = trace[trace["round"] == trace["round"].max()]
    layers, kinds = _layers(last), list(dict.fromkeys(last["kind"]))
    figure, panels = _panels(7.5, _height(layers) + 1.6, kinds)
    for axes, kind in zip(panels, kinds, strict=True):
        rows = last[last["kind"] == kind]
        together = max(1, -(-(int(rows["index"].max()) + 1) // CELLS)) if len(rows) else 1  # units per cell
        cells = rows.assign(cell=rows["index"] // together, stays=rows["quantity"] > 0)
        column = "quantity" if together == 1 else "stays"
        shade = cells.pivot_table(index="layer", columns="cell", values=column)
        most = int(cells["cell"].max()) + 1 if len(rows) else 1
        grid = shade.reindex(index=layers, columns=range(most)).to_numpy(dtype=float)
        axes.imshow(grid, cmap=SHADES, vmin=0, vmax=1, aspect="auto", interpolation="none")
        gone = np.argwhere(grid == 0)
        size = float(np.clip(260 / grid.shape[1], 1, 5))
        cross = {"color": GREY, "markersize": size, "markeredgewidth": 0.7, "rasterized": len(gone) > MANY}
        axes.plot(gone[:, 1], gone[:, 0], "x", **cross)
        axes.set_title(f"{titles(kind)}: {int(cells['stays'].sum())} of {len(rows)} stay", fontsize=10)
        axes.set_xlabel("index in the layer" + (f" / {together}, shaded by share" if together > 1 else ""))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xticks(np.arange(grid.shape[1]) - 0.5, minor=True)
        if len(layers) <= MOST_TICKS:
            axes.set_yticks(np.arange(grid.shape[0]) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=min(1.0, size / 5))
        axes.tick_params(which="minor", length=0)
        _label_layers(axes, layers)
    panels[0].set_ylabel("layer")
    return figure


def survival(shares: pd.DataFrame) -> Figure:
    """Share of the units of each kind that are funded, by round."""
    figure, axes = _figure(6, 3.2)
    for kind, (style, colour) in zip(dict.fromkeys(shares["kind"]), cycle(_LINES)):
        part = shares[shares["kind"] == kind]
        axes.plot(part["round"], part["funded"], style, color=colour, label=titles(kind))
    axes.set_xlabel("round")
    axes.set_ylabel("funded [share of the units]")
    axes.set_ylim(0, 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_outside(figure, axes)
    return figure


def price_paths(runs: Mapping[str, pd.DataFrame], unit: str) -> Figure:
    """Clearing prices of several runs by round, of as many tables of rounds by name."""
    figure, axes = _figure(6, 3.2)
    for (name, rounds), look in zip(runs.items(), cycle(LOOKS), strict=False):
        marker, line, colour = look
        axes.plot(rounds["round"], rounds["price"], marker + line, color=colour, markersize=4, label=in_legend(name))
    axes.set_xlabel("round")
    axes.set_ylabel(f"price of the dense compute\n[{unit}]")
    from_zero(axes, [price for rounds in runs.values() for price in rounds["price"]])
    plain_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_outside(figure, axes, columns=1)
    return figure


def lorenz(curves: pd.DataFrame) -> Figure:
    """Lorenz curves of wealth and compute, with the line on which all have the same."""
    figure, axes = _figure(4.4, 4)
    axes.plot([0, 1], [0, 1], "-", color=GREY, linewidth=0.8, label="all have the same")
    for name, style, colour in (("wealth", "-", BLUE), ("compute", "--", ORANGE)):
        curve = curves[curves["of"] == name]
        axes.plot(
            curve["agents"], curve["held"], style, color=colour, label=f"{name} (Gini {curve['gini'].iloc[0]:.2f})"
        )
    axes.set_xlabel("agents, the poorest first [share of all]")
    axes.set_ylabel("held by them [share of the whole]")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    legend_outside(figure, axes, columns=1)
    return figure


def two_allocations(both: pd.DataFrame, first: str, second: str) -> Figure:
    """Where two runs differ: units that only one of them keeps stand out by shape and colour."""
    layers, kinds = _layers(both), list(dict.fromkeys(both["kind"]))
    place = {layer: i for i, layer in enumerate(layers)}
    figure, panels = _panels(7.5, _height(layers) + 2.0, kinds)
    looks = (
        ("both", "s", GREY, "both keep it"), ("first only", "^", BLUE, f"only {first}"),
        ("second only", "v", ORANGE, f"only {second}"), ("neither", ".", "#cccccc", "neither"),
    )  # fmt: skip
    for axes, kind in zip(panels, kinds, strict=True):
        rows = both[both["kind"] == kind]
        for funded, marker, colour, label in looks:
            part = rows[rows["funded"] == funded]
            ranks = part["layer"].map(place)
            style = {"color": colour, "markersize": 4, "linestyle": "none", "rasterized": len(part) > MANY}
            axes.plot(part["index"], ranks, marker, label=label, **style)
        axes.set_title(titles(kind), fontsize=10)
        axes.set_xlabel("index in the layer")
        _label_layers(axes, layers)
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylabel("layer")
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def interactions(graph: nx.Graph, unit: str) -> Figure:
    """Units by layer, with ties: solid for complements, dashed for substitutes; the stronger, the wider."""
    layers = [data["layer"] for _, data in graph.nodes(data=True)]
    figure, axes = _figure(7.5, 0.5 * (max(layers) - min(layers) + 1) + 2.2)
    place = {name: (data["index"], data["layer"]) for name, data in graph.nodes(data=True)}
    most = max(abs(tie["interaction"]) for _, _, tie in graph.edges(data=True))
    for relation, style, colour in (("complements", "-", BLUE), ("substitutes", "--", ORANGE)):
        shown = False
        for a, b, tie in graph.edges(data=True):
            if tie["relation"] != relation:
                continue
            (x0, y0), (x1, y1) = place[a], place[b]
            bow = 0.18 * abs(x1 - x0) if y0 == y1 else 0.0  # ties within a layer would hide the units between
            middle = ((x0 + x1) / 2, (y0 + y1) / 2 - 2 * min(bow, 0.4))
            curve = Curve([(x0, y0), middle, (x1, y1)], [1, 3, 3])
            width = 0.4 + 2.6 * abs(tie["interaction"]) / most
            axes.add_patch(PathPatch(curve, fill=False, linestyle=style, edgecolor=colour, linewidth=width, alpha=0.7))
            shown = True
        if shown:
            axes.plot([], [], style, color=colour, label=relation)
    xs, ys = zip(*place.values(), strict=True)
    axes.plot(xs, ys, "o", color="#000000", markersize=4)
    axes.set_xlabel("index in the layer")
    axes.set_ylabel("layer")
    axes.set_yticks(sorted(set(layers)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    axes.legend(title=f"widest: {most:.2g} {unit}", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def bids(trace: pd.DataFrame, unit: str) -> Figure:
    """Bids against values of the last round, winners and losers apart."""
    last = trace[trace["round"] == trace["round"].max()]
    figure, axes = _figure(4.4, 4)
    positive = last[(last["value"] > 0) & (last["bid"] > 0)]
    for won, marker, colour, label in ((True, "o", BLUE, "funded"), (False, "x", ORANGE, "not funded")):
        part = positive[(positive["quantity"] > 0) == won]
        style = {"color": colour, "markersize": 4, "alpha": 0.6, "rasterized": len(part) > MANY}
        axes.plot(part["value"], part["bid"], marker, label=label, **style)
    if len(positive):
        ends = [float(positive["value"].min()), float(positive["value"].max())]
        axes.plot(ends, ends, "-", color=GREY, linewidth=0.8, label="bid = value")
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_ticks(axes.xaxis, axes.yaxis)
    axes.set_xlabel(f"value [{unit}]")
    axes.set_ylabel(f"bid [{unit}]")
    legend_outside(figure, axes)
    return figure


def frontier(summary: Mapping[str, Any]) -> Figure:
    """Task metric against compute: the dense model and this run."""
    metric, share = summary["metric"], summary["used"]
    if summary.get("resource", "macs") != "macs":
        share = summary["macs"] / summary["dense_macs"]
    figure, axes = _figure(4.4, 3.2)
    axes.plot([1], [metric["dense"]], "s", color=GREY, label="dense")
    axes.plot([share], [metric["value"]], "o", color=BLUE, label=f"after {short_name(summary['mechanism'])}")
    for place, value, shift in ((share, metric["value"], 6), (1, metric["dense"], -44)):
        axes.annotate(quality(value), (place, value), xytext=(shift, 5), textcoords="offset points")
    axes.set_xlim(0, 1.08)
    axes.set_ylim(metric_limits([metric["value"]], metric["dense"]))
    axes.set_xlabel("compute used [share of dense MACs]")
    axes.set_ylabel(titled(metric))
    legend_outside(figure, axes)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, its texts shown as they are; the same figure gives the same bytes."""
    return _saved(figure, "png", "Software")


def svg_file(figure: Figure) -> bytes:
    """The same as an SVG file, which scales and is edited in Inkscape."""
    with rc_context({"svg.hashsalt": "walras"}):
        return _saved(figure, "svg", "Date")


def _saved(figure: Figure, kind: str, without: str) -> bytes:
    """The figure as a file of a kind, without the line of its metadata that differs from time to time."""
    buffer = io.BytesIO()
    settle_texts(figure)
    with without_remarks():
        figure.savefig(buffer, format=kind, dpi=130, metadata={without: None})
    return buffer.getvalue()


def svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an element of a page, in the page's own colours; see `inline_svg`."""
    return inline_svg(figure, name, alt)


def short_name(name: str) -> str:
    """The class of FILE.py:Class; other names as they are."""
    return name.rpartition(".py:")[2] or name


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def titles(kind: str) -> str:
    """What units of a kind are called above a panel."""
    return _TITLES.get(kind, f"units of kind {kind}")


_TITLES = {"head": "attention heads", "ffn": "FFN units", "expert": "experts", "block": "sub-layers"}
_NARROW = ("head", "expert", "block")  # kinds of which a layer has few
_LINES = (("o-", BLUE), ("s--", ORANGE), ("^:", GREY))


def _layers(rows: pd.DataFrame) -> list[int]:
    """Layers that there are, in order: pictures show their ranks, for a number may be anything."""
    return sorted(int(layer) for layer in rows["layer"].unique())


def _height(layers: Sequence[int]) -> float:
    """Inches of a row for each layer, as far as a picture can have them."""
    return min(0.34 * len(layers), TALLEST)


def _label_layers(axes: Any, layers: Sequence[int]) -> None:
    shown = range(0, len(layers), -(-len(layers) // MOST_TICKS))
    axes.set_yticks(shown, [str(layers[i]) for i in shown])


def _panels(width: float, height: float, kinds: Sequence[str]) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    ratios = [1 if kind in _NARROW else 2 for kind in kinds]
    panels: NDArray[Any] = figure.subplots(1, len(kinds), width_ratios=ratios, squeeze=False)[0]
    return figure, panels
