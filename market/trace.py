"""The trace of a market: one parquet file per round, one row per agent."""

import os
from pathlib import Path
from typing import Protocol, final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from walras.errors import InputError
from walras.market.ledger import Ledger

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
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        pq.write_table(table(market.round, market.ledger), partial, compression="zstd")
        os.replace(partial, path)


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
    """The trace of a run as a frame, rounds in order: `path` is a run folder, its `trace` folder or one part."""
    place = Path(path)
    folder = place / "trace" if (place / "trace").is_dir() else place
    parts = sorted(folder.glob("part-*.parquet")) if folder.is_dir() else [folder]
    if not parts or not parts[0].exists():
        raise InputError(f"{place} holds no trace: expected part-00001.parquet there or in a folder `trace`")
    return pd.concat([_read(part) for part in parts], ignore_index=True)


def _read(part: Path) -> pd.DataFrame:
    """One part as a frame."""
    try:
        with pq.ParquetFile(part) as file:
            if file.schema_arrow.names != SCHEMA.names:
                raise InputError(
                    f"{part} is not a part of a trace: its columns are {', '.join(file.schema_arrow.names)}, "
                    f"not {', '.join(SCHEMA.names)}"
                )
            frame: pd.DataFrame = file.read().to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{part} is not a part of a trace: {error}") from error
    return frame
