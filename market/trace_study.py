"""What can be read from a trace: which units were funded, which left and when, and which were worth most."""

from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
import torch

from walras.errors import InputError
from walras.market.round import column_of
from walras.mechanisms.inequality import gini, lorenz


@final
@dataclass(frozen=True)
class Trace:
    """Tables made from a trace; `trace` is what `read_trace` returns."""

    trace: pd.DataFrame

    @property
    def rounds(self) -> pd.DataFrame:
        """One row per round: price of the whole compute, compute used, funded units by kind, welfare and revenue."""
        funded = self.trace["quantity"] > 0
        kinds = map(str, self.trace["kind"].unique())
        counts = {column_of(kind): funded & (self.trace["kind"] == kind) for kind in kinds}
        trace = self.trace.assign(
            used=self.trace["cost"] * self.trace["quantity"],
            welfare=self.trace["value"] * self.trace["quantity"],
            rate=self.trace["price"] / self.trace["cost"],
            **counts,
        )
        summed = ("used", *counts, "welfare", "payment")
        columns = {"rate": "median", **dict.fromkeys(summed, "sum")}
        by_round: pd.DataFrame = trace.groupby("round").agg(columns).reset_index()
        return by_round.rename(columns={"rate": "price", "payment": "revenue"})

    @property
    def last(self) -> pd.DataFrame:
        """The last round's rows."""
        last: pd.DataFrame = self.trace[self.trace["round"] == self.trace["round"].max()]
        return last

    @property
    def winners(self) -> pd.DataFrame:
        """Units that are funded at the end, the wealthiest first."""
        funded = self.last[self.last["quantity"] > 0]
        return funded.sort_values(["wealth", "agent"], ascending=[False, True])

    @property
    def leavers(self) -> pd.DataFrame:
        """Units that are not funded at the end; `left` is the first round since which they have not been."""
        last_funded = self.trace[self.trace["quantity"] > 0].groupby("agent")["round"].max()
        gone = self.last[self.last["quantity"] == 0][["agent", "kind", "layer", "index", "value"]].copy()
        gone["left"] = gone["agent"].map(last_funded).fillna(0).astype(int) + 1
        return gone.sort_values(["left", "layer", "kind", "index"])

    @property
    def layers(self) -> pd.DataFrame:
        """Funded units of every layer and kind at the end, and how many there are."""
        funded = self.last.assign(funded=self.last["quantity"] > 0)
        counts: pd.DataFrame = funded.groupby(["layer", "kind"], observed=True)["funded"].agg(["sum", "size"])
        return counts.reset_index()

    @property
    def survival(self) -> pd.DataFrame:
        """Share of the units of a kind that is funded, one row per round and kind; with re-entry it may rise again."""
        alive = self.trace.assign(funded=self.trace["quantity"] > 0)
        shares: pd.DataFrame = alive.groupby(["round", "kind"], observed=True)["funded"].mean().reset_index()
        return shares

    @property
    def turnover(self) -> pd.DataFrame:
        """Which units left or entered, one row per unit and round, with `change` and what it bid then.

        Before the first round all units are there.
        """
        columns = ["round", "agent", "kind", "layer", "value", "bid", "price"]
        funded = self.trace.assign(funded=self.trace["quantity"] > 0)
        before = funded.groupby("agent", observed=True)["funded"].shift(1, fill_value=True)
        moved = funded[funded["funded"] != before]
        change = moved["funded"].map({True: "entered", False: "left"})
        return moved[columns].assign(change=change).reset_index(drop=True)

    @property
    def replacements(self) -> pd.DataFrame:
        """Which units replaced which: one row per round in which units entered, with the names on both sides."""
        names = self.turnover.groupby(["round", "change"], observed=True)["agent"].agg(", ".join).unstack(fill_value="")
        both = names.reindex(columns=["entered", "left"], fill_value="").rename_axis(columns=None)
        return both[both["entered"] != ""].reset_index()

    @property
    def lorenz(self) -> pd.DataFrame:
        """Lorenz curves at the end, of the agents' wealth and of the compute that they won, with Gini coefficients.

        Columns: `of`, `agents` (the poorest share of them), `held` (the share of the whole that they hold), `gini`.
        A Lorenz curve has no debts: wealth is counted from the poorest agent's, where that is below 0.
        """
        last, curves = self.last, []
        wealth = last["wealth"] - min(float(last["wealth"].min()), 0.0)
        for name, amount in (("wealth", wealth), ("compute", last["cost"] * last["quantity"])):
            tensor = torch.from_numpy(amount.to_numpy(copy=True))
            agents, held = lorenz(tensor)
            curve = {"of": name, "agents": agents.numpy(), "held": held.numpy(), "gini": float(gini(tensor))}
            curves.append(pd.DataFrame(curve))
        return pd.concat(curves, ignore_index=True)

    @property
    def strategies(self) -> pd.DataFrame:
        """The agents of each strategy at the end, one row per strategy: units, funded ones, report / value, wealth."""
        last = self.last.assign(
            funded=self.last["quantity"] > 0, ratio=self.last["bid"] / self.last["value"].where(self.last["value"] > 0)
        )
        grouped = last.groupby("strategy", observed=True)
        table: pd.DataFrame = grouped.agg(
            units=("agent", "size"), funded=("funded", "sum"), ratio=("ratio", "median"), wealth=("wealth", "mean")
        )
        return table.reset_index()

    def against(self, other: "Trace") -> pd.DataFrame:
        """The units of two runs of one network at the end, one row per unit: funded in both, in one, or in none.

        Raises:
            InputError: runs of different units.
        """
        columns = ["agent", "kind", "layer", "index", "value", "quantity"]
        if sorted(self.last["agent"]) != sorted(other.last["agent"]):
            raise InputError(
                "these runs are of different units: only runs of one network and block size can be compared"
            )
        both = self.last[columns].merge(other.last[["agent", "value", "quantity"]], on="agent", suffixes=("", "_other"))
        here, there = both["quantity"] > 0, both["quantity_other"] > 0
        words = np.select([here & there, here, there], ["both", "first only", "second only"], "neither")
        return both.assign(funded=words)

    def by_value(self, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The `count` most and least valued units of the first round, in which all units are valued."""
        first = self.trace[self.trace["round"] == self.trace["round"].min()]
        ranked = first.sort_values(["value", "agent"], ascending=[False, True])
        return ranked.head(count), ranked.tail(count)[::-1]
