"""The table of agents: one page of it, sorted and searched here, so that ten thousand rows never travel."""

from dataclasses import dataclass
from typing import Any, final

import pandas as pd

from walras.experiments.dashboard.pictures.plot import number

COLUMNS = {
    "agent": "unit", "kind": "kind", "layer": "layer", "strategy": "strategy", "quantity": "gate", "value": "value",
    "bid": "bid", "price": "price", "payment": "payment", "surplus": "surplus", "wealth": "wealth", "cost": "cost",
}  # fmt: skip
"""Columns of a trace that the table has, and what they are called."""
NUMBERS = ("quantity", "value", "bid", "price", "payment", "surplus", "wealth", "cost")
MOST_ROWS = 50


@final
@dataclass(frozen=True)
class Order:
    """Which rows of the table are shown: a page of so many, sorted by a column, of agents whose name holds a text."""

    page: int = 1
    rows: int = 10
    column: str = "value"
    descending: bool = True
    search: str = ""

    @staticmethod
    def from_page(told: Any, search: str) -> "Order":
        """What the browser asks for; whatever is none of our columns and numbers counts as the default."""
        told = told if isinstance(told, dict) else {}
        page, rows = told.get("page"), told.get("rows")
        column = told.get("column")
        return Order(
            page if isinstance(page, int) and page > 0 else 1,
            min(rows, MOST_ROWS) if isinstance(rows, int) and rows > 0 else 10,
            column if column in COLUMNS else "value",
            told.get("descending") is not False if column in COLUMNS else True,
            search,
        )


def page_of(agents: pd.DataFrame, order: Order) -> tuple[list[dict[str, str]], int]:
    """One page of the table as texts, and how many rows there are in all; a page beyond the last is the last."""
    rows = agents
    if order.search.strip():
        rows = rows[rows["agent"].str.contains(order.search.strip(), case=False, regex=False)]
    by = [order.column, *(["layer", "index"] if order.column != "layer" else ["index"])]
    rows = rows.sort_values(by, ascending=[not order.descending, *[True] * (len(by) - 1)], kind="stable")
    last = max(1, -(-len(rows) // order.rows))
    start = (min(order.page, last) - 1) * order.rows
    shown = rows.iloc[start : start + order.rows]
    return [_texts(row) for row in shown.to_dict("records")], len(rows)


def _texts(row: dict[Any, Any]) -> dict[str, str]:
    return {name: number(float(row[name])) if name in NUMBERS else str(row[name]) for name in COLUMNS}
