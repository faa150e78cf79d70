"""A text as HTML, every token coloured by what it bought, and the purchases of one token as a map."""

from html import escape
from typing import final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from walras.escaping import terminal_text
from walras.experiments.dashboard.pictures.plot import number
from walras.experiments.dashboard.pictures.unit_map import colours

BY = {"share": "multiplications bought", "spent": "money spent", "surplus": "surplus", "surprisal": "surprisal [nats]"}
"""Columns of a table of tokens by which a text can be coloured."""
MOST = 2000
"""Tokens of a sequence that are shown."""
LONGEST = 40  # characters of a token


@final
class TokenText:
    """One sequence of a trace, read once.

    Args:
        trace: rows of one sequence in the columns of `read_token_trace`, a row per token and map.
    """

    def __init__(self, trace: pd.DataFrame) -> None:
        self.trace = trace
        self.layers = sorted(int(layer) for layer in trace["layer"].unique())

    def tokens(self, layer: int | None = None) -> pd.DataFrame:
        """A row per token: its text, and what it bought in a layer, or in all."""
        rows = self.trace if layer is None else self.trace[self.trace["layer"] == layer]
        sums = rows.groupby("position", sort=True).agg(
            token=("token", "first"), offered=("offered", "sum"), kept=("kept", "sum"), spent=("spent", "sum"),
            surplus=("surplus", "sum"), surprisal=("surprisal", "first"),
        )  # fmt: skip
        return sums.assign(share=sums["kept"] / sums["offered"].clip(lower=1)).reset_index()

    def html(self, by: str, layer: int | None = None, picked: int | None = None) -> str:
        """The text; a token's background is its amount, from the 2nd to the 98th percentile of the sequence's."""
        tokens = self.tokens(layer).head(MOST)
        amounts = tokens[by].to_numpy(dtype=np.float64)
        places, low, high = _placed(amounts)
        painted = colours(np.where(np.isnan(places), 0.0, places))
        parts = []
        for position, token, amount, place, (r, g, b, _) in zip(
            tokens["position"], tokens["token"].astype(str), amounts, places, painted.tolist(), strict=True
        ):
            ink = "#000" if 0.299 * r + 0.587 * g + 0.114 * b > 128 else "#fff"
            look = "" if np.isnan(place) else f"background:rgb({r},{g},{b});color:{ink};"
            frame = "outline:2px solid var(--second);" if position == picked else ""
            hint = f"position {position}, {BY[by]}: {number(amount)}"
            parts.append(f'<span data-token="{position}" title="{hint}" style="{look}{frame}">{_token(token)}</span>')
        more = "" if len(self.tokens(layer)) <= MOST else f" The first {MOST} tokens are shown."
        legend = f"{BY[by]}: dark {number(low)} or less, bright {number(high)} or more.{more}"
        return f'<p class="walras-legend">{escape(legend)}</p><p class="walras-text">{"".join(parts)}</p>'

    def purchases(self, position: int) -> pd.DataFrame:
        """Share that a token bought of every map: a row per layer, a column per kind of map."""
        rows = self.trace[self.trace["position"] == position]
        sums = rows.groupby(["layer", "map"], observed=True)[["kept", "offered"]].sum()
        wide = (sums["kept"] / sums["offered"].clip(lower=1)).unstack("map")
        return wide[list(dict.fromkeys(rows["map"].astype(str)))]

    def purchases_html(self, position: int) -> str:
        """The same as a table of coloured cells."""
        shares = self.purchases(position)
        head = "".join(f"<th>{escape(str(name))}</th>" for name in shares.columns)
        lines = [f"<tr><th>layer</th>{head}</tr>"]
        for layer, row in zip(shares.index, shares.to_numpy(dtype=np.float64), strict=True):
            cells = []
            for share, (r, g, b, _) in zip(row, colours(row).tolist(), strict=True):
                ink = "#000" if 0.299 * r + 0.587 * g + 0.114 * b > 128 else "#fff"
                look = "" if np.isnan(share) else f' style="background:rgb({r},{g},{b});color:{ink}"'
                cells.append(f"<td{look}>{'–' if np.isnan(share) else f'{share:.0%}'}</td>")
            lines.append(f"<tr><th>{layer}</th>{''.join(cells)}</tr>")
        return f'<table class="walras-cells">{"".join(lines)}</table>'


def _placed(amounts: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Amounts [n] from 0 to 1, and the amounts at both ends."""
    known = amounts[np.isfinite(amounts)]
    if not len(known):
        return np.full_like(amounts, np.nan), float("nan"), float("nan")
    low, high = np.quantile(known, [0.02, 0.98])
    return np.clip((amounts - low) / max(high - low, 1e-12), 0, 1), float(low), float(high)


def _token(token: str) -> str:
    """A token as the page shows it: lines are broken where it breaks them, and nothing of it is markup."""
    words = terminal_text(token)[:LONGEST] or "·"
    return escape(words.replace("\t", " ")).replace("\n", "↵<br/>")
