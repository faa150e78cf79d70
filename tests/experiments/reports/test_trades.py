"""What a report tells of trades between sub-layers, by hand, and its picture."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from walras.experiments.reports import plots
from walras.experiments.reports.tables import trade_tables
from walras.experiments.reports.trades import (
    in_order,
    in_short,
    trade_balances,
    trade_rounds,
    trades_picture,
    trades_section,
)

COLUMNS = ["round", "seller", "buyer", "ask", "bid", "compute", "fall", "fresh_fall", "agreed"]
TRADES = pd.DataFrame(
    [
        (1, "L10.ffn", "L2.heads", 1.0, 4.0, 0.02, 0.05, 0.03, True),
        (1, "L2.ffn", "L0.heads", 2.0, 3.0, 0.02, -0.01, np.nan, False),
        (2, "L10.ffn", "L0.heads", 1.0, 3.0, 0.01, 0.02, 0.01, True),
        (2, "L2.heads", "L2.ffn", 1.0, 2.0, 0.01, 0.02, -0.01, False),
    ],
    columns=COLUMNS,
)


def test_tables_by_hand() -> None:
    assert trade_rounds(TRADES).round(9).to_dict("list") == {
        "round": [1, 2], "meetings": [2, 2], "agreed": [1, 1], "compute": [0.02, 0.01], "fall": [0.05, 0.02],
        "fresh_fall": [0.03, 0.01],
    }  # fmt: skip
    assert trade_balances(TRADES).round(9).to_dict("list") == {
        "sublayer": ["L0.heads", "L2.heads", "L10.ffn"], "bought": [0.01, 0.02, 0.0], "sold": [0.0, 0.0, 0.03],
        "balance": [0.01, 0.02, -0.03],
    }  # fmt: skip
    assert in_short(TRADES) == (
        "2 of 4 meetings of two sub-layers came to an agreement: 3.00 % of the dense compute changed hands, and "
        "the divergence from the dense network is lower by 0.0700 nats on the tokens of the quotes, by 0.0400 on fresh "
        "ones."
    )
    assert in_short(TRADES[~TRADES["agreed"]]).endswith("none came to an agreement.")
    assert in_order(["L10.ffn", "L2.heads", "L2.ffn", "x", ""]) == ["", "L2.ffn", "L2.heads", "L10.ffn", "x"]


def test_the_picture_shows_quotes_gains_and_partners() -> None:
    meetings, gains, sold = trades_picture(TRADES).axes
    lines: Any = meetings.get_lines()[:4]
    assert [line.get_label() for line in lines] == [
        "bid, agreed", "ask, agreed", "bid, not agreed", "ask, not agreed",
    ]  # fmt: skip
    assert [(*line.get_xdata(), *line.get_ydata()) for line in lines] == [
        (1, 3, 4.0, 3.0), (1, 3, 1.0, 1.0), (2, 4, 3.0, 2.0), (2, 4, 2.0, 1.0),
    ]  # fmt: skip
    assert [line.get_markerfacecolor() for line in lines] == [plots.BLUE, plots.ORANGE, "none", "none"]
    assert meetings.get_lines()[4].get_xdata() == [2.5, 2.5]  # between the rounds
    quoted, fresh = ([round(float(y), 9) for y in np.asarray(line.get_ydata())] for line in gains.get_lines())
    assert quoted == [0, 0.05, 0.05, 0.07, 0.07]
    assert fresh == [0, 0.03, 0.03, 0.04, 0.04]
    assert np.asarray(sold.get_images()[0].get_array()).tolist() == [[0.01, 0.02]]
    assert [tick.get_text() for tick in sold.get_xticklabels()] == ["L0.heads", "L2.heads"]
    assert [tick.get_text() for tick in sold.get_yticklabels()] == ["L10.ffn"]


@pytest.mark.parametrize("rows", [TRADES[~TRADES["agreed"]], TRADES.head(1), pd.concat([TRADES] * 200)])
def test_any_trades_can_be_drawn(rows: pd.DataFrame) -> None:
    assert plots.png(trades_picture(rows)).startswith(b"\x89PNG")
    (section,) = trades_section(rows)
    assert section.title == "Trades"
    assert len(trade_tables(rows, 8)) == len(section.parts) - 2 == 1 + rows["agreed"].any()


def test_without_trades_there_is_nothing_to_tell() -> None:
    none = TRADES.head(0)
    assert trades_section(none) == []
    assert trade_tables(none, 8) == []
