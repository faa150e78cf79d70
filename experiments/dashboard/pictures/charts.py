"""Curves of a market: price by round, wealth and its Lorenz curve, bids against values, and one agent's history."""

import numpy as np
import pandas as pd

from walras.experiments.dashboard.pictures.plot import Axis, Plot
from walras.market import Trace

FIRST, SECOND, THIRD, FAINT = "var(--first)", "var(--second)", "var(--third)", "var(--faint)"
"""Colours of the page's theme."""
LONGEST = 400
"""Rounds of a curve; of more, evenly chosen ones are drawn, the last one among them."""


def price_path(rounds: pd.DataFrame, unit: str) -> str:
    """The clearing price by round; a price that is infinite has no place."""
    drawn = thinned(rounds)
    y = Axis.over(f"price of the whole [{unit}]", drawn["price"], zero=True)
    return Plot("Clearing price", _rounds(drawn), y).line(drawn["round"], drawn["price"], FIRST).svg()


def budget_path(rounds: pd.DataFrame) -> str:
    """Compute that was on sale, and that was bought, by round."""
    drawn = thinned(rounds)
    plot = Plot("Budget and use", _rounds(drawn), Axis("share of the dense compute", 0.0, 1.05))
    plot.line(drawn["round"], drawn["used"], FIRST, "used")
    return plot.line(drawn["round"], drawn["budget"], SECOND, "budget", dashed=True).svg()  # seen above what is used


def lorenz(agents: pd.DataFrame) -> str:
    """Lorenz curves of wealth and of compute after the last round, with Gini coefficients."""
    curves = Trace(agents).lorenz
    share = "agents, the poorest first [share]"
    plot = Plot("Who holds how much", Axis(share, 0, 1), Axis("held by them [share]", 0, 1))
    plot.line([0, 1], [0, 1], FAINT, dashed=True)
    for name, colour, dashed in (("wealth", FIRST, False), ("compute", SECOND, True)):
        curve = curves[curves["of"] == name]
        few = np.unique(np.linspace(0, len(curve) - 1, 200).astype(int))
        drawn = curve.iloc[few]
        plot.line(drawn["agents"], drawn["held"], colour, f"{name} (Gini {curve['gini'].iloc[0]:.2f})", dashed=dashed)
    return plot.svg()


def wealth(agents: pd.DataFrame, unit: str) -> str:
    """What agents own, the richest first."""
    owned = np.sort(agents["wealth"].to_numpy())[::-1]
    ranks = np.unique(np.linspace(0, len(owned) - 1, 300).astype(int))
    x = Axis("agents, the richest first", 0, max(len(owned), 1), whole=True)
    y = Axis.over(f"wealth [{unit}]", owned, zero=True)
    return Plot("Wealth", x, y).line(ranks + 1, owned[ranks], FIRST).svg()


def bids(agents: pd.DataFrame, unit: str) -> str:
    """Bids against values, both logarithmic: the line is bid = value. Those of 0 and below have no place."""
    shown = agents[(agents["value"] > 0) & (agents["bid"] > 0)]
    both = np.concatenate([shown["value"], shown["bid"]])
    x, y = (Axis.over(f"{name} [{unit}]", both, log=True) for name in ("value", "bid"))
    plot = Plot(f"Bids against values ({len(shown)} of {len(agents)} agents)", x, y)
    plot.line([x.low, x.high], [x.low, x.high], FAINT, "bid = value")
    for funded, colour, name in ((False, SECOND, "not funded"), (True, FIRST, "funded")):
        rows = shown[(shown["quantity"] > 0) == funded]
        plot.dots(rows["value"], rows["bid"], colour, name)
    return plot.svg()


def agent_history(history: pd.DataFrame, name: str, unit: str) -> str:
    """What one agent was worth, bid and was asked for, by round."""
    drawn = thinned(history)
    columns = (("value", FIRST, False), ("bid", SECOND, True), ("price", THIRD, False))
    finite = drawn[["value", "bid", "price"]].to_numpy().ravel()
    plot = Plot(name, _rounds(drawn), Axis.over(f"money [{unit}]", finite, zero=True))
    for column, colour, dashed in columns:
        plot.line(drawn["round"], drawn[column], colour, column, dashed=dashed)
    return plot.svg()


def agent_holdings(history: pd.DataFrame, name: str) -> str:
    """What one agent held by round: the level of its gate."""
    drawn = thinned(history)
    plot = Plot(f"{name}: gate", _rounds(drawn), Axis("level", 0, 1.05))
    return plot.line(drawn["round"], drawn["quantity"], FIRST).svg()


def thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """At most `LONGEST` rows, evenly chosen, first and last included."""
    if len(frame) <= LONGEST:
        return frame
    return frame.iloc[np.unique(np.linspace(0, len(frame) - 1, LONGEST).astype(int))]


def _rounds(frame: pd.DataFrame) -> Axis:
    first, last = (int(frame["round"].iloc[0]), int(frame["round"].iloc[-1])) if len(frame) else (0, 1)
    return Axis("round", first, max(last, first + 1), whole=True)
