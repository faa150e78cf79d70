"""The trace of tokens that buy: one parquet file per sequence, a row per token and map."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from walras.errors import InputError
from walras.files.contents import reading
from walras.files.tables import read_part, write_table

WHAT = "part of a token trace"
FIGURES = "sparsify.json"  # in every folder of a sparsified network, traced or not
MOST_ROWS = 2**24
_LARGEST = 1e300
_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [("sequence", pa.int32()), ("position", pa.int32()), ("token", _TEXT)]
    + [("surprisal", pa.float64()), ("surprisal_by_lot", pa.float64())]
    + [("layer", pa.int32()), ("map", _TEXT), ("offered", pa.int64()), ("kept", pa.int64())]
    + [(name, pa.float64()) for name in ("price", "spent", "surplus")]
)
"""Multiplications that are on offer to a token in a map, and that it keeps, which are bought; the map's price per
multiplication, what was spent, and what those who bought would have paid beyond it.

`surprisal` is -log of the probability that the network gave the token before it came, in nats; `surprisal_by_lot` the
same where in every token and map as many bidders, drawn by lot, are computed. Both are missing for a first token, and
in networks that predict no next token.
"""
_MISSING = ("surprisal", "surprisal_by_lot")
_LIMITS = {"sequence": (0, 2**31 - 1), "position": (0, 2**31 - 1), "layer": (0, 100_000), "kept": (0, 2**53)}


def write_part(path: Path, frame: pd.DataFrame) -> None:
    """One sequence, to a place in a folder that appears whole."""
    write_table(path, pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False), compression="zstd")


def parts(path: str | Path) -> list[Path]:
    """The parts of a token trace in a folder, or in its folder `trace`; none where it holds no such trace."""
    place = Path(path)
    folder = place / "trace" if (place / "trace").is_dir() else place
    return sorted(folder.glob("tokens-*.parquet")) if folder.is_dir() else []


def read_token_trace(path: str | Path) -> pd.DataFrame:
    """What tokens bought, sequences in order, in the columns of `SCHEMA`.

    Args:
        path: folder of a sparsified network, its `trace` folder, or one part.

    Raises:
        InputError: no trace there, or a part that is damaged, no trace, of a sequence that another part has, or of
            another network or other prices than the first part; a part that is missing between others.
    """
    alone = Path(path).is_file()
    found = [Path(path)] if alone else parts(path)
    if not found:
        raise InputError(f"{path} holds no token trace: expected tokens-00000.parquet there or in a folder `trace`")
    frames = [_read(part) for part in found]
    seen: set[int] = set()
    first = _market(frames[0])
    for place, (part, frame) in enumerate(zip(found, frames, strict=True)):
        number = int(frame["sequence"].iloc[0])
        if number in seen:
            raise InputError(f"{part} is of sequence {number}, which another part has")
        if number != place and not alone:
            raise InputError(f"{part} is of sequence {number}; that of sequence {place} is missing before it")
        if not first.equals(_market(frame)):
            raise InputError(f"{part} is of another network, or of other prices, than {found[0]}")
        seen.add(number)
    return pd.concat(frames, ignore_index=True)


def _market(frame: pd.DataFrame) -> pd.DataFrame:
    """What was on offer to every token of a part, and at which prices."""
    columns = ["layer", "map", "offered", "price"]
    found = frame[columns].drop_duplicates().astype({"map": str})
    return found.sort_values(columns).reset_index(drop=True)


def _read(part: Path) -> pd.DataFrame:
    """One part as a frame, all of it checked."""
    found = read_part(part, WHAT, SCHEMA, most=MOST_ROWS)
    for field in SCHEMA:
        if found[field.name].null_count and field.name not in _MISSING:
            raise InputError(f"{part}: column {field.name} has cells that are empty; it must have none")
    with reading(WHAT, part, pa.ArrowException):
        frame: pd.DataFrame = found.to_pandas()
    _check(part, frame)
    return frame.astype({field.name: "category" for field in SCHEMA if field.type == _TEXT})


def _check(part: Path, frame: pd.DataFrame) -> None:
    """Refuse numbers that nothing after it could work with.

    Raises:
        InputError: the first of them; rows of several sequences; a token and map that are there twice, or not at all;
            a map whose price, or a token whose text or surprisal, is not the same in all of its rows.
    """
    for field in SCHEMA:
        if field.type == _TEXT:
            continue
        column, (low, high) = frame[field.name], _LIMITS.get(field.name, (0, _LARGEST))
        fine = column.between(low, high) | (column.isna() if field.name in _MISSING else False)
        if not fine.all():
            wrong = column[~fine].iloc[0]
            raise InputError(f"{part}: {field.name} is {wrong}; it must be a number from {low:g} to {high:g}")
    if (frame["kept"] > frame["offered"]).any() or (frame["offered"] > 2**53).any():
        raise InputError(f"{part}: a token keeps more than is on offer, or more is on offer than can be counted")
    if frame["sequence"].nunique() > 1:
        raise InputError(f"{part} has rows of {frame['sequence'].nunique()} sequences; it must have those of one")
    if frame.duplicated(["position", "layer", "map"]).any():
        raise InputError(f"{part} has two rows of one token and map")
    if np.diff(np.unique(frame["position"])).max(initial=1) > 1:
        raise InputError(f"{part} lacks a token between others")
    for keys, columns in ((["layer", "map"], ["offered", "price"]), (["position"], ["token", *_MISSING])):
        for name, count in frame.groupby(keys, observed=True)[columns].nunique(dropna=False).max().items():
            if count > 1:
                raise InputError(f"{part}: {name} differs between rows of one {' and '.join(keys)}")
    if len(frame) != frame["position"].nunique() * len(frame[["layer", "map"]].drop_duplicates()):
        raise InputError(f"{part} lacks a map of one of its tokens")
