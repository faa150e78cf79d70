"""What the pages show of a market at one moment, wherever it comes from: a live market, or the folder of a run."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from walras.market import ComputeMarket, Trace, read_rounds, read_trace
from walras.market.trace import table

ROWS = 500_000
"""Rows of agents and rounds that a live market remembers at most; the last round is always among them."""
MOST_ROUNDS = 1000
"""Rounds whose prices a live market remembers."""
HISTORY = ("value", "bid", "price", "quantity", "wealth")

Past = Callable[[str], pd.DataFrame]


@final
@dataclass(frozen=True, eq=False)
class Scene:
    """One moment of a market.

    Attributes:
        agents: one round's rows in the columns of a trace; round 0 is before the first.
        rounds: the table of rounds so far.
        past: the history of an agent by its name: columns `round` and `HISTORY`.
        unit: that of money.
        last: the round after which none is left.
    """

    agents: pd.DataFrame
    rounds: pd.DataFrame
    past: Past
    unit: str
    last: int

    @property
    def round(self) -> int:
        """Rounds played."""
        return int(self.agents["round"].iloc[0]) if len(self.agents) else 0

    @property
    def line(self) -> str:
        """Round, price, use and funded units in a line."""
        funded = int((self.agents["quantity"] > 0).sum())
        units = f"{funded:,} of {len(self.agents):,} units funded"
        if not len(self.rounds):
            return f"Before round 1 of {self.last} · {units}"
        row = self.rounds.iloc[-1]
        shock = f" · {row['shock']}" if str(row.get("shock", "")) else ""
        told = f"price {row['price']:.3g} · {row['used']:.1%} of {row['budget']:.1%} used · {units} · {row['status']}"
        return f"Round {self.round} of {self.last} · {told}{shock}"


@final
class History:
    """The last rounds of a live market, in memory that does not grow: `ROWS` bounds it."""

    def __init__(self, agents: int) -> None:
        self._parts: deque[tuple[int, dict[str, np.ndarray]]] = deque(maxlen=max(2, min(1000, ROWS // max(agents, 1))))

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, market: ComputeMarket) -> None:
        """Remember the round that was played last."""
        ledger = market.ledger
        columns = (ledger.value, ledger.report, ledger.price, ledger.quantity, ledger.wealth)
        kept = {name: column.astype(np.float32) for name, column in zip(HISTORY, columns, strict=True)}
        self._parts.append((market.round, kept))

    def of(self, row: int) -> pd.DataFrame:
        """One agent's rounds, by its row in the ledger."""
        parts = list(self._parts)
        columns = {name: [float(part[name][row]) for _, part in parts] for name in HISTORY}
        return pd.DataFrame({"round": [number for number, _ in parts], **columns})


def live_scene(market: ComputeMarket, history: History) -> Scene:
    """A live market as it is now."""
    agents: pd.DataFrame = table(market.round, market.ledger).to_pandas()
    names, rounds = market.ledger.name, _rounds(market)  # what is shown keeps no market alive

    def past(name: str) -> pd.DataFrame:
        rows = np.flatnonzero(names == name)
        return history.of(int(rows[0])) if len(rows) else history.of(0).head(0)

    return Scene(agents, rounds, past, market.valuation.unit, len(market.sessions))


def _rounds(market: ComputeMarket) -> pd.DataFrame:
    """The last rounds' rows."""
    return pd.DataFrame([played.row for played in market.rounds[-MOST_ROUNDS:]])


@final
class Replay:
    """A run's folder, read once; it need not have finished.

    Raises:
        InputError: no trace there, or one that is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trace, self.rounds = read_trace(folder), read_rounds(folder)
        self._numbers = self.trace["round"].unique()  # in order; a part may be missing
        self.first, self.last = int(self._numbers[0]), int(self._numbers[-1])

    def scene(self, round_: int) -> Scene:
        """The market after a round that the trace has, or the nearest one."""
        at = int(self._numbers[np.abs(self._numbers - round_).argmin()])
        agents = self.trace[self.trace["round"] == at]
        return Scene(agents, self.rounds[self.rounds["round"] <= at], self._past, "money", self.last)

    @property
    def study(self) -> Trace:
        """Tables of the whole trace."""
        return Trace(self.trace)

    def _past(self, name: str) -> pd.DataFrame:
        rows: pd.DataFrame = self.trace.loc[self.trace["agent"] == name, ["round", *HISTORY]]
        return rows
