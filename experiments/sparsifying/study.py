"""Figures of a token trace: what tokens buy, in which maps, where in a sequence, and how that goes with surprise."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

FIRST = 8
"""Positions at the beginning of a sequence that are told one by one."""


@final
@dataclass(frozen=True)
class TokenStudy:
    """A trace, and what can be read off it; shares are of the multiplications that are on offer.

    Attributes:
        trace: columns of `trace_table.SCHEMA`.
    """

    trace: pd.DataFrame

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """A row per token: its text, share that it keeps, money spent, surplus, and surprisals."""
        grouped = self.trace.groupby(["sequence", "position"], sort=True, observed=True)
        found = grouped.agg(
            token=("token", "first"), offered=("offered", "sum"), kept=("kept", "sum"), spent=("spent", "sum"),
            surplus=("surplus", "sum"), surprisal=("surprisal", "first"),
            surprisal_by_lot=("surprisal_by_lot", "first"),
        )  # fmt: skip
        return found.assign(share=found["kept"] / found["offered"]).reset_index()

    @cached_property
    def maps(self) -> pd.DataFrame:
        """Share that tokens keep of every map: a row per layer, a column per kind of map."""
        sums = self.trace.groupby(["layer", "map"], observed=True)[["kept", "offered"]].sum()
        wide = (sums["kept"] / sums["offered"]).unstack("map")
        return wide[list(dict.fromkeys(self.trace["map"]))]

    @cached_property
    def positions(self) -> pd.DataFrame:
        """Share that the first tokens of a sequence keep, one by one, and all later ones: a column per kind of map."""
        place = self.trace["position"].where(self.trace["position"] < FIRST, FIRST)
        sums = self.trace.assign(place=place).groupby(["place", "map"], observed=True)[["kept", "offered"]].sum()
        wide = (sums["kept"] / sums["offered"]).unstack("map")
        return wide[list(dict.fromkeys(self.trace["map"]))]

    @cached_property
    def spread(self) -> dict[str, float]:
        """Quantiles of the share that a token keeps."""
        quantiles = {"1st percentile": 0.01, "median": 0.5, "99th percentile": 0.99}
        return {name: float(self.tokens["share"].quantile(q)) for name, q in quantiles.items()}

    @cached_property
    def surprise(self) -> dict[str, float] | None:
        """Rank correlations of a token's share with its surprisal, and mean surprisals; None without surprisals.

        `own` is with the surprisal of the token itself, `by lot` the same where bidders are drawn by lot, with the
        same counts. Both would be alike if it did not matter who buys.
        """
        known = self.tokens.dropna(subset=["surprisal", "surprisal_by_lot"])
        if len(known) < 3 or known["share"].nunique() < 2:
            return None
        return {
            "own": float(spearmanr(known["share"], known["surprisal"]).statistic),
            "by lot": float(spearmanr(known["share"], known["surprisal_by_lot"]).statistic),
            "mean": float(known["surprisal"].mean()),
            "mean by lot": float(known["surprisal_by_lot"].mean()),
            "tokens": float(len(known)),
        }

    def spenders(self, top: int) -> pd.DataFrame:
        """Texts of tokens that keep most on average, among those that come twice or more; else among all."""
        sums = self.tokens.groupby("token", observed=True)["share"].agg(["mean", "count"])
        often = sums[sums["count"] >= 2]
        chosen = (often if len(often) else sums).sort_values(["mean", "count"], ascending=False, kind="stable")
        return chosen.head(top).reset_index()


def binned(share: pd.Series, values: pd.Series, most: int = 10) -> pd.DataFrame:
    """Mean of values, and its standard error, in bins of tokens of like share: columns share, mean, error."""
    known = pd.DataFrame({"share": share, "value": values}).dropna().sort_values("share", kind="stable")
    bins = np.array_split(np.arange(len(known)), max(1, min(most, len(known) // 4)))
    some = [known.iloc[chosen] for chosen in bins if len(chosen)]
    return pd.DataFrame(
        {
            "share": [float(rows["share"].mean()) for rows in some],
            "mean": [float(rows["value"].mean()) for rows in some],
            "error": [float(rows["value"].std(ddof=1) / len(rows) ** 0.5) if len(rows) > 1 else 0.0 for rows in some],
        }
    )
