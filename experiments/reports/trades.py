"""Trades between sub-layers: meetings in order, what came of them, and who sold to whom."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from walras.experiments.reports.axes import from_zero, plain_ticks
from walras.experiments.reports.numbers import count, number, percent
from walras.experiments.reports.pages.page import Note, Picture, Section, Table
from walras.experiments.reports.picture_text import fitted
from walras.experiments.reports.plots import BLUE, GREY, MANY, ORANGE, SHADES

_MOST_NAMES, _LONGEST = 24, 14  # of sub-layers along an axis, and characters of one


def trades_section(trades: pd.DataFrame) -> list[Section]:
    """The section of a page with the picture and tables of trades (`trades_table.SCHEMA`); none without trades."""
    if trades.empty:
        return []
    picture = Picture(
        "trades", trades_picture(trades), "Meetings of sub-layers with their bids and asks; gains; who sold to whom.",
        "Filled marks met and agreed, hollow ones in vain. Gains are measured at each agreement, on the tokens that "
        "quotes were made on and on fresh ones. Both had to fall for one, so that sums of noise rise as well.",
    )  # fmt: skip
    balances = trade_balances(trades)
    tables = [Table.from_frame(trade_rounds(trades), "Meetings by round of trade")]
    if len(balances):
        tables.append(Table.from_frame(balances, "Compute that sub-layers bought and sold [share of the dense]"))
    return [Section("Trades", [Note(in_short(trades)), picture, *tables], folded=True)]


def in_short(trades: pd.DataFrame) -> str:
    """What came of all meetings, in a sentence."""
    agreed = trades[trades["agreed"]]
    if agreed.empty:
        return f"Of {count(len(trades))} meetings of two sub-layers none came to an agreement."
    return (
        f"{count(len(agreed))} of {count(len(trades))} meetings of two sub-layers came to an agreement: "
        f"{percent(agreed['compute'].sum(), 2)} of the dense compute changed hands, and the divergence from the dense "
        f"network is lower by {number(agreed['fall'].sum())} nats on the tokens of the quotes, by "
        f"{number(agreed['fresh_fall'].sum())} on fresh ones."
    )


def trade_rounds(trades: pd.DataFrame) -> pd.DataFrame:
    """One row per round of trade: meetings, agreements, and the compute and divergence of these [share, nats]."""
    agreed = trades["agreed"]
    parts = trades[["compute", "fall", "fresh_fall"]].where(agreed, 0.0)
    table = pd.concat([trades[["round"]].assign(meetings=1, agreed=agreed.astype(int)), parts], axis=1)
    found: pd.DataFrame = table.groupby("round").sum().reset_index()
    return found


def trade_balances(trades: pd.DataFrame) -> pd.DataFrame:
    """One row per sub-layer that agreed to anything: shares of compute bought and sold, and what is left of them."""
    agreed = trades[trades["agreed"]]
    sides = {side: agreed.groupby(by)["compute"].sum() for side, by in (("bought", "buyer"), ("sold", "seller"))}
    table = pd.DataFrame(sides).fillna(0.0)
    table = table.loc[in_order([*table.index])].rename_axis("sublayer").reset_index()
    return table.assign(balance=table["bought"] - table["sold"])


def trades_picture(trades: pd.DataFrame) -> Figure:
    """Bid and ask of every meeting above; what agreements added up to, and who sold to whom, below."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    _meetings(figure.add_subplot(grid[0, :]), trades)
    _gains(figure.add_subplot(grid[1, 0]), trades)
    _sold(figure.add_subplot(grid[1, 1]), trades[trades["agreed"]])
    return figure


def _meetings(axes: Any, trades: pd.DataFrame) -> None:
    """Bids and asks in the order of the meetings; a line between rounds."""
    place = np.arange(1, len(trades) + 1)
    for agreed, word in ((True, "agreed"), (False, "not agreed")):
        chosen = trades["agreed"].to_numpy() == agreed
        for name, marker, colour in (("bid", "^", BLUE), ("ask", "v", ORANGE)):
            axes.plot(
                place[chosen], trades[name].to_numpy()[chosen], marker, color=colour, markersize=5,
                markerfacecolor=colour if agreed else "none", label=f"{name}, {word}", rasterized=len(trades) > MANY,
            )  # fmt: skip
    rounds = trades["round"].to_numpy()
    for begins in np.flatnonzero(np.diff(rounds)):
        axes.axvline(begins + 1.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel("meeting, in order; dotted lines part rounds of trade")
    axes.set_ylabel("divergence per dense compute\n[nats]")
    plain_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _gains(axes: Any, trades: pd.DataFrame) -> None:
    """By how much the divergence is lower after each meeting."""
    place, highest = np.arange(len(trades) + 1), list[float]()
    for name, style, colour, label in (
        ("fall", "-", BLUE, "tokens of quotes"), ("fresh_fall", "--", ORANGE, "fresh tokens"),
    ):  # fmt: skip
        gained = np.concatenate([[0.0], trades[name].where(trades["agreed"], 0.0).cumsum()])
        axes.step(place, gained, style, where="post", color=colour, label=label)
        highest += [float(gained.max()), float(gained.min())]
    from_zero(axes, highest)
    axes.set_xlabel("meeting")
    axes.set_ylabel("divergence lower by [nats]")
    plain_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", frameon=False)


def _sold(axes: Any, agreed: pd.DataFrame) -> None:
    """Compute by seller and buyer, of those who agreed to anything."""
    if agreed.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "nobody agreed", ha="center", va="center")
        return
    sellers, buyers = (in_order(agreed[name].unique().tolist()) for name in ("seller", "buyer"))
    sold = agreed.pivot_table(index="seller", columns="buyer", values="compute", aggfunc="sum", fill_value=0.0)
    amounts = sold.reindex(index=sellers, columns=buyers).to_numpy(dtype=float)
    axes.imshow(amounts, cmap=SHADES, vmin=0, vmax=amounts.max(), aspect="auto", interpolation="none")
    axes.set_title(f"compute sold; darkest: {percent(amounts.max(), 2)} of the dense", fontsize=10)
    axes.set_xlabel("buyer")
    axes.set_ylabel("seller")
    for axis, names in ((axes.xaxis, buyers), (axes.yaxis, sellers)):
        shown = range(0, len(names), -(-len(names) // _MOST_NAMES))
        axis.set_ticks(list(shown), [fitted(names[i])[:_LONGEST] for i in shown], fontsize=7)
    axes.tick_params(axis="x", rotation=90)


def in_order(names: Sequence[str]) -> list[str]:
    """Names of sub-layers, L2.ffn before L10.heads."""
    return sorted(map(str, names), key=lambda name: [(len(p), p) if p.isdigit() else (0, p) for p in _parts(name)])


def _parts(name: str) -> list[str]:
    return re.findall(r"[0-9]+|[^0-9]+", name)
