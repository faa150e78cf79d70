"""The table sorts and searches all agents, and sends one page of them."""

from collections.abc import Callable

import pandas as pd
import pytest

from walras.experiments.dashboard.table import COLUMNS, MOST_ROWS, Order, page_of

Agents = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("descending", [True, False])
def test_a_page_is_sorted_by_any_column(agents: Agents, column: str, descending: bool) -> None:
    frame = agents()
    rows, total = page_of(frame, Order(rows=50, column=column, descending=descending))
    assert total == len(frame)
    assert len(rows) == 50
    first = frame.sort_values(column, ascending=not descending, kind="stable").iloc[0][column]
    assert (frame.loc[frame["agent"] == rows[0]["agent"], column] == first).all()


def test_pages_hold_every_agent_once(agents: Agents) -> None:
    frame = agents()
    found = [row["agent"] for page in range(1, 8) for row in page_of(frame, Order(page=page))[0]]
    assert sorted(found[:60]) == sorted(frame["agent"])


def test_a_page_beyond_the_last_is_the_last(agents: Agents) -> None:
    assert page_of(agents(), Order(page=99)) == page_of(agents(), Order(page=6))


@pytest.mark.parametrize("search", ["L1.H", "l1.h", " L1.H "])
def test_a_search_is_a_plain_text(agents: Agents, search: str) -> None:
    rows, total = page_of(agents(), Order(search=search))
    assert total == 4
    assert all(row["agent"].startswith("L1.H") for row in rows)
    assert page_of(agents(), Order(search="(((")) == ([], 0)


@pytest.mark.parametrize("told", [None, 5, {}, {"page": "x", "rows": -1, "column": "__class__"}, {"rows": 10**9}])
def test_what_the_browser_says_is_checked(agents: Agents, told: object) -> None:
    order = Order.from_page(told, "")
    assert order.column in COLUMNS
    assert order.rows <= MOST_ROWS
    page_of(agents(), order)
