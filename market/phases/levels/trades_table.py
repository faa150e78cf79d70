"""The table of trades that a run leaves, where a phase left any: a row per meeting of two sub-layers."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from walras.errors import InputError
from walras.files.contents import reading
from walras.files.tables import read_part
from walras.market.phases.levels.trading import Exchange

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

NAME = "trades.parquet"
WHAT = "table of trades"
MOST_MEETINGS = 2**20
_LARGEST = 1e300
SCHEMA = pa.schema(
    [("round", pa.int64()), ("seller", pa.string()), ("buyer", pa.string())]
    + [(name, pa.float64()) for name in ("ask", "bid", "compute", "fall", "fresh_fall")]
    + [("agreed", pa.bool_())]
)
"""Columns of `Exchange`, in the order in which sub-layers met; `round` is one of trade, of which a round of the market
has several. Sub-layers have names such as L3.heads."""


def trades_of(market: "ComputeMarket") -> pd.DataFrame:
    """The meetings that phases left in a market's memory, in the columns of `SCHEMA`; no rows where none did."""
    names = [f"L{site.layer}.{site.sublayer}" for site in market.calibration.inventory.sites]
    rows = [
        {**exchange._asdict(), "seller": names[exchange.seller], "buyer": names[exchange.buyer]}
        for exchange in _exchanges(market)
    ]
    return _typed(pd.DataFrame(rows, columns=SCHEMA.names))


def _exchanges(market: "ComputeMarket") -> Iterator[Exchange]:
    for left in market.memory.values():
        if isinstance(left, list) and all(isinstance(one, Exchange) for one in left):
            yield from left


def read_trades(folder: str | Path) -> pd.DataFrame:
    """The trades of a run, in the columns of `SCHEMA`; no rows where it has none, as earlier versions' runs have not.

    Raises:
        InputError: a file that is damaged, or of something else.
    """
    file = Path(folder) / NAME
    if not file.exists():
        return _typed(pd.DataFrame(columns=SCHEMA.names))
    found = read_part(file, WHAT, SCHEMA, most=MOST_MEETINGS)
    for name in SCHEMA.names:
        if found[name].null_count and name != "fresh_fall":
            raise InputError(f"{file}: column {name} has cells that are empty; it must have none")
    with reading(WHAT, file, pa.ArrowException):
        frame = _typed(found.to_pandas())
    _check(file, frame)
    return frame


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    kinds = {field.name: field.type.to_pandas_dtype() for field in SCHEMA if field.type != pa.string()}
    return frame.astype({**kinds, "seller": str, "buyer": str})


def _check(file: Path, frame: pd.DataFrame) -> None:
    """Refuse numbers that nothing after it could work with.

    Raises:
        InputError: the first of them; a sub-layer that meets itself; an agreement without a fall on fresh tokens.
    """
    limits = {"round": (1, 99_999), "compute": (0, 1)}
    for name in ("round", "ask", "bid", "compute", "fall", "fresh_fall"):
        low, high = limits.get(name, (-_LARGEST, _LARGEST))
        column = frame[name]
        fine = column.between(low, high) | (column.isna() if name == "fresh_fall" else False)
        if not fine.all():
            raise InputError(f"{file}: {name} is {column[~fine].iloc[0]}; it must be a number from {low:g} to {high:g}")
    if (frame["seller"] == frame["buyer"]).any():
        raise InputError(f"{file}: a sub-layer sells to itself")
    if (frame["agreed"] & ~np.isfinite(frame["fresh_fall"])).any():
        raise InputError(f"{file}: sub-layers agreed without a fall on fresh tokens")
