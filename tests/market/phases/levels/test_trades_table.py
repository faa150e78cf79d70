"""The table of trades: what phases left in a market's memory, and files that are damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.market.phases.levels.conftest import usage
from walras.agents import Uniform
from walras.errors import InputError
from walras.files.tables import write_table
from walras.market import BilateralTrade
from walras.market.phases.levels.trades_table import NAME, SCHEMA, read_trades, trades_of
from walras.market.phases.levels.trading import Exchange

TRADES = pd.DataFrame(
    [
        (1, "L0.heads", "L1.ffn", 0.5, 2.0, 0.01, 0.02, 0.01, True),
        (1, "L0.ffn", "L1.heads", -0.5, 1.0, 0.01, -0.02, np.nan, False),
    ],
    columns=SCHEMA.names,
)


def written(folder: Path, frame: pd.DataFrame) -> Path:
    write_table(folder / NAME, pa.Table.from_pandas(frame, preserve_index=False))
    return folder


def test_meetings_are_those_in_the_markets_memory(copied: Any, tmp_path: Path) -> None:
    market = copied.market(
        copied.rising(), budgets=(0.6,), resources=(usage(copied),), phases=[BilateralTrade(tokens=30, step=1e-6)]
    )
    market.step()
    exchanges, trades = market.memory["search"], trades_of(market)
    assert len(trades) == len(exchanges) > 0
    names = [f"L{site.layer}.{site.sublayer}" for site in copied.units.sites]
    assert names == ["L0.heads", "L0.ffn", "L1.heads", "L1.ffn"]
    assert trades["seller"].tolist() == [names[e.seller] for e in exchanges]
    assert trades["buyer"].tolist() == [names[e.buyer] for e in exchanges]
    for column in ("round", "ask", "bid", "compute", "fall", "fresh_fall", "agreed"):
        np.testing.assert_array_equal(trades[column], [getattr(e, column) for e in exchanges])
    pd.testing.assert_frame_equal(read_trades(written(tmp_path, trades)), trades)


def test_other_memories_are_no_trades(copied: Any) -> None:
    market = copied.market(Uniform(), budgets=(0.6,))
    assert trades_of(market).empty
    market.memory.update({"one": [], "two": [1.0], "three": {"price": 1.0}})
    assert trades_of(market).empty
    market.memory["own"] = [Exchange(1, 0, 1, 0.1, 0.2, 0.01, 0.3, 0.2, True)]  # of a phase of a user's own
    assert trades_of(market)["seller"].tolist() == ["L0.heads"]


def test_a_folder_without_the_table_has_no_trades(tmp_path: Path) -> None:
    found = read_trades(tmp_path)
    assert found.empty
    assert found.columns.tolist() == SCHEMA.names
    pd.testing.assert_frame_equal(read_trades(written(tmp_path, TRADES)), TRADES)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bid": [np.inf, 1.0]}, "bid is inf"),
        ({"ask": [np.nan, 1.0]}, "column ask has cells that are empty"),
        ({"compute": [1.5, 0.1]}, "compute is 1.5; it must be a number from 0 to 1"),
        ({"round": [0, 1]}, "round is 0"),
        ({"buyer": ["L0.heads", "L1.heads"]}, "sells to itself"),
        ({"fresh_fall": [np.nan, np.nan]}, "agreed without a fall on fresh tokens"),
        ({"agreed": [1, 0]}, "column agreed is of type int64; it must be bool"),
        ({"seller": [None, "L0.ffn"]}, "column seller has cells that are empty"),
        ({"more": [1, 2]}, "is not a table of trades"),
    ],
)
def test_damaged_tables_are_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        read_trades(written(tmp_path, TRADES.assign(**change)))
