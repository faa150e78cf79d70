"""The trace of a market: one parquet file per round, one row per agent."""

from collections import deque
from pathlib import Path
from typing import Protocol, final

import numpy as np
import pandas as pd
import pyarrow as pa

from walras.errors import InputError
from walras.escaping import one_line
from walras.files.tables import read_part, write_table
from walras.files.writing import whole_file
from walras.market.ledger import Ledger

WHAT = "part of a trace"
MOST_AGENTS = 2**24
"""Rows of a part."""
MOST_LAYERS = 10_000
"""Layers that a network of a trace may have, and then some; a number beyond is damage."""
MOST_KINDS = 16
"""Kinds of units of a network."""
MOST_UNITS = 2**31 - 1
"""Units of a kind in a layer, as far as their index has room."""
_LARGEST = 1e300  # an amount of money, or a level; sums of them stay finite
_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [("round", pa.int32()), ("agent", pa.string()), ("kind", _TEXT), ("layer", pa.int32()), ("index", pa.int32())]
    + [("strategy", _TEXT)]
    + [(name, pa.float64()) for name in ("cost", "value", "bid", "quantity", "price", "payment", "surplus", "wealth")]
)
"""cost: share of the dense model's compute; price: of the whole unit to this agent; money in the valuation's unit."""


class Traded(Protocol):
    """What a trace is written from: a `ComputeMarket`."""

    ledger: Ledger

    @property
    def round(self) -> int:
        """Rounds played."""


@final
class TraceWriter:
    """Writes `part-00001.parquet`, ... into a folder: a hook, `market.on("played", TraceWriter(folder))`.

    A part appears whole or not at all.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __call__(self, market: Traded, turn: object = None) -> None:
        """Write the part of the round that was settled last; rounds are counted from 1.

        Raises:
            InputError: the part is there already: rounds of two markets would be mixed.
        """
        del turn
        path = self.folder / f"part-{market.round:05d}.parquet"
        if path.exists():
            raise InputError(f"{path} is there already, from another market; choose an empty folder")
        with whole_file(path) as draft:
            write_table(draft, table(market.round, market.ledger), compression="zstd")


@final
class TraceHistory:
    """Keeps the columns of the last rounds in memory: a hook, `market.on("played", TraceHistory())`.

    Args:
        rounds: that are kept at most; None for all.

    Raises:
        InputError: rounds that are no whole number of at least 0.
    """

    def __init__(self, rounds: int | None = None) -> None:
        if rounds is not None and (isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 0):
            raise InputError(f"history is {rounds!r}; it must be a whole number of rounds, or None for all of them")
        self._parts: deque[pa.Table] = deque(maxlen=rounds)

    def __call__(self, market: Traded, turn: object = None) -> None:
        """Keep the round that was settled last."""
        del turn
        self._parts.append(table(market.round, market.ledger))

    def frame(self) -> pd.DataFrame:
        """One row per round and unit, as `read_trace` returns them of a run's folder."""
        return pd.concat(
            [_typed(part.to_pandas()) for part in self._parts or (SCHEMA.empty_table(),)], ignore_index=True
        )


def table(round_: int, ledger: Ledger) -> pa.Table:
    """One round's rows in the columns of `SCHEMA`."""
    columns = {
        "round": np.full(len(ledger), round_, dtype=np.int32),
        "agent": ledger.name,
        "kind": ledger.kind,
        "layer": ledger.layer.astype(np.int32),
        "index": ledger.index.astype(np.int32),
        "strategy": ledger.strategy,
        "cost": ledger.cost,
        "value": ledger.value,
        "bid": ledger.report,
        "quantity": ledger.quantity,
        "price": ledger.price,
        "payment": ledger.payment,
        "surplus": ledger.surplus,
        "wealth": ledger.wealth,
    }
    arrays = [pa.array(columns[f.name], type=pa.string() if f.type == _TEXT else f.type) for f in SCHEMA]
    encoded = [a.dictionary_encode() if f.type == _TEXT else a for f, a in zip(SCHEMA, arrays, strict=True)]
    return pa.Table.from_arrays(encoded, schema=SCHEMA)


def read_trace(path: str | Path) -> pd.DataFrame:
    """The trace of a run as a frame, rounds in order: `path` is a run folder, its `trace` folder or one part.

    Raises:
        InputError: no trace there, or a part that is damaged, no trace, or of a round that another part has.
    """
    place = Path(path)
    folder = place / "trace" if (place / "trace").is_dir() else place
    parts = sorted(folder.glob("part-*.parquet")) if folder.is_dir() else [folder]
    if not parts or not parts[0].exists():
        raise InputError(f"{place} holds no trace: expected part-00001.parquet there or in a folder `trace`")
    frames = [_read(part) for part in parts]
    last = 0
    for part, frame in zip(parts, frames, strict=True):
        number = int(frame["round"].iloc[0])
        if number <= last:
            raise InputError(f"{part} is of round {number}, after one of round {last}; rounds must rise")
        last = number
    return pd.concat(frames, ignore_index=True)


def _read(part: Path) -> pd.DataFrame:
    """One part as a frame, all of it checked."""
    found = read_part(part, WHAT, SCHEMA, most=MOST_AGENTS)
    frame: pd.DataFrame = found.to_pandas()
    frame = frame.astype({field.name: "float64" for field in SCHEMA if field.type == pa.float64()})
    empty = frame.columns[frame.isna().any()]
    if len(empty):
        raise InputError(f"{part}: column {empty[0]} has cells that are empty or no numbers; it must have none")
    _check(part, frame)
    return _typed(frame)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """A part's columns in the types that a trace has in memory."""
    kinds = {f.name: "category" if f.type == _TEXT else f.type.to_pandas_dtype() for f in SCHEMA if f.name != "agent"}
    return frame.astype({"agent": str, **kinds})


def _check(part: Path, frame: pd.DataFrame) -> None:
    """Refuse numbers that nothing after it could work with.

    Raises:
        InputError: the first of them; units that are there twice; rows of several rounds.
    """
    limits = {
        "round": (1, 99_999),
        "layer": (0, MOST_LAYERS),
        "index": (0, MOST_UNITS),
        "quantity": (0, 1),
        "cost": (0, _LARGEST),
    }
    for name in SCHEMA.names:
        column = frame[name]
        if name in ("agent", "kind", "strategy"):
            continue
        low, high = limits.get(name, (-_LARGEST, _LARGEST))
        fits = column.between(low, high)
        if name == "bid":
            fits |= column == -np.inf  # a unit that may not trade
        if not fits.all():
            wrong = column[~fits].iloc[0]
            raise InputError(f"{part}: {name} is {wrong}; it must be a number from {low:g} to {high:g}")
    if frame["round"].nunique() > 1:
        raise InputError(f"{part} has rows of {frame['round'].nunique()} rounds; it must have those of one")
    kinds = frame["kind"].nunique()
    if kinds > MOST_KINDS:
        raise InputError(f"{part} has {kinds} kinds of units; valid: {MOST_KINDS}")
    if frame["agent"].duplicated().any():
        twice = one_line(str(frame["agent"][frame["agent"].duplicated()].iloc[0]), 80)
        raise InputError(f"{part}: agent {twice!r} is there twice; it must be there once")
