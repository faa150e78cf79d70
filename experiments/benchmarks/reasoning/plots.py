"""Pictures of the replayed token budgets."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from walras.experiments.reports.plots import png

ORDER = ("clear", "clear, no chances", "exact", "clear-plain", "clock", "posted", "shortest-first", "proportional",
         "uniform", "oracle")  # fmt: skip
_STYLES = ("-", "--", ":", "-.")


def accuracy(table: pd.DataFrame) -> bytes:
    """Accuracy against tokens a query, a panel a mix, a band for the interval."""
    mixes = list(dict.fromkeys(table["mix"]))
    figure = Figure(figsize=(4 * len(mixes), 4.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(mixes), sharey=True))
    for axes, mix in zip(panels, mixes, strict=True):
        for i, name in enumerate(ORDER):
            rows = table[(table["mix"] == mix) & (table["allocator"] == name)]
            colour = "black" if name == "oracle" else f"C{i}"
            axes.plot(rows["budget"], rows["accuracy"], _STYLES[i % 4], color=colour, marker=".", label=name)
            axes.fill_between(rows["budget"], rows["low"], rows["high"], color=colour, alpha=0.12, linewidth=0)
        axes.set(title=mix, xlabel="budget [tokens a query]", xscale="log")
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("correct within the grant")
    panels[-1].legend(fontsize="small")
    return png(figure)


def price(runs: pd.DataFrame) -> bytes:
    """CLEAR's price against scarcity, a line a mix."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for mix, group in runs[runs["allocator"] == "clear"].groupby("mix", sort=False):
        prices = group.groupby("budget")["price"].quantile(np.array([0.025, 0.5, 0.975])).unstack()
        axes.plot(prices.index, prices[0.5], marker=".", label=str(mix))
        axes.fill_between(prices.index, prices[0.025], prices[0.975], alpha=0.15, linewidth=0)
    axes.set(xlabel="budget [tokens a query]", ylabel="price [chance of an answer a token]", xscale="log")
    axes.grid(alpha=0.25)
    axes.legend()
    return png(figure)


def funded(rows: pd.DataFrame) -> bytes:
    """Share of queries that CLEAR funds against the tokens that they truly need; the unsolved apart."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    edges = np.geomspace(100, 2000, 10)
    for budget, group in rows.groupby("budget"):
        solved = group[np.isfinite(group["need"])]
        place = np.digitize(solved["need"], edges)
        share = solved["funded"].groupby(place).mean()
        middle = np.sqrt(edges[:-1] * edges[1:])
        inside = [i for i in share.index if 0 < i < len(edges)]
        label = f"{budget} tokens a query"
        (line,) = axes.plot([middle[i - 1] for i in inside], share[inside], marker=".", label=label)
        unsolved = group.loc[~np.isfinite(group["need"]), "funded"].mean()
        axes.axhline(unsolved, color=line.get_color(), linestyle=":", linewidth=1)
    axes.set(xlabel="tokens truly needed (dotted: never solved)", ylabel="share funded", xscale="log")
    axes.grid(alpha=0.25)
    axes.legend()
    return png(figure)
