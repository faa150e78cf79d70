"""Traces as strangers leave them are read or refused, and what is read can be studied."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import EXAMPLES, damaged_arrays, damaged_bytes, fuzzed, read_or_refused
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.market import Trace, read_trace
from walras.market.trace import SCHEMA

NUMBERS = {name: SCHEMA.field(name).type for name in SCHEMA.names if name not in ("agent", "kind", "strategy")}

TABLES = (
    "rounds", "winners", "leavers", "layers", "survival", "turnover", "replacements", "lorenz", "strategies",
)  # fmt: skip
ODD = (["\x1b[31m", "[/b]", "a\0b", "x" * 9000], ["round"] * 4, ["value"] * 4)


def columns(round_: int = 1, count: int = 4) -> dict[str, Any]:
    arrays: dict[str, Any] = {name: np.full(count, 0.5) for name in NUMBERS}
    arrays |= {
        "round": np.full(count, round_, "i4"),
        "layer": np.zeros(count, "i4"),
        "index": np.arange(count, dtype="i4"),
    }
    texts = {"agent": [f"L0.H{i}" for i in range(count)], "kind": ["head"] * count, "strategy": ["truthful"] * count}
    return {name: {**arrays, **texts}[name] for name in SCHEMA.names}


def write(file: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), file)
    return file


def sound(folder: Path) -> bytes:
    return write(folder / "part-00001.parquet", columns()).read_bytes()


def study(folder: Path) -> bool:
    """Whether a trace was read; then all of its tables are made."""
    frame = read_or_refused(read_trace, folder)
    if frame is None:
        return False
    found = Trace(frame)
    for table in (
        "rounds",
        "winners",
        "leavers",
        "layers",
        "survival",
        "turnover",
        "replacements",
        "lorenz",
        "strategies",
    ):
        assert getattr(found, table) is not None
    found.against(found), found.by_value(3)
    return True


def test_what_is_sound_is_read(tmp_path: Path) -> None:
    sound(tmp_path)
    write(tmp_path / "part-00002.parquet", columns(2))
    assert study(tmp_path)
    wide = {**columns(3), "round": np.full(4, 3), "cost": np.full(4, 0.5, "f4")}  # of another writer
    write(tmp_path / "part-00003.parquet", wide)
    assert read_trace(tmp_path)["round"].tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert read_trace(tmp_path).dtypes["kind"] == "category"
    write(tmp_path / "part-00003.parquet", {**wide, "bid": np.full(4, -np.inf)})
    assert study(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": np.full(4, 2**31 - 1)}, r"part-00001\.parquet: layer is 2147483647; .* from 0 to 10000"),
        ({"layer": np.full(4, -1)}, r"layer is -1"),
        ({"index": np.full(4, -1)}, r"index is -1"),
        ({"round": np.full(4, 0)}, r"round is 0"),
        ({"round": np.arange(1, 5)}, r"has rows of 4 rounds"),
        ({"value": np.full(4, np.nan)}, r"column value has cells that are empty or no numbers"),
        ({"price": np.full(4, np.inf)}, r"price is inf"),
        ({"bid": np.full(4, np.inf)}, r"bid is inf"),
        ({"wealth": np.full(4, 1e305)}, r"wealth is 1e\+305"),
        ({"quantity": np.full(4, 2.0)}, r"quantity is 2\.0; it must be a number from 0 to 1"),
        ({"cost": ["x"] * 4}, r"column cost is of type .*string; it must be double"),
        ({"layer": np.full(4, 1.5)}, r"column layer is of type double; it must be int32"),
        ({"kind": [1] * 4}, r"column kind is of type int64"),
        ({"kind": [f"k{i}" for i in range(4)]}, ""),
        ({"agent": ["a", None, "b", "c"]}, r"column agent has cells that are empty"),
        ({"index": pa.array([0, None, 1, 2])}, r"column index has cells that are empty"),
        ({"agent": ["a\x1b[31m", "a\x1b[31m", "b", "c"]}, r"agent 'a' is there twice"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write(tmp_path / "part-00001.parquet", {**columns(), **change})
    if not message:
        assert study(tmp_path)
        return
    with pytest.raises(InputError, match=message):
        read_trace(tmp_path)


def test_no_rows_another_order_many_kinds_and_rounds_that_do_not_rise(tmp_path: Path) -> None:
    write(tmp_path / "part-00001.parquet", columns(count=0))
    with pytest.raises(InputError, match="it has no rows"):
        read_trace(tmp_path)
    write(tmp_path / "part-00001.parquet", dict(reversed(columns().items())))
    with pytest.raises(InputError, match="its columns are wealth, surplus"):
        read_trace(tmp_path)
    write(tmp_path / "part-00001.parquet", {**columns(count=40), "kind": [f"k{i}" for i in range(40)]})
    with pytest.raises(InputError, match="40 kinds of units; valid: 16"):
        read_trace(tmp_path)
    for name in ("part-00001.parquet", "part-00002.parquet"):
        write(tmp_path / name, columns())
    with pytest.raises(InputError, match=r"part-00002\.parquet is of round 1, after one of round 1"):
        read_trace(tmp_path)


@pytest.mark.nightly
@fuzzed
@given(data=st.data())
def test_damaged_files(data: st.DataObject, tmp_path: Path) -> None:
    content = sound(tmp_path)
    (tmp_path / "part-00001.parquet").write_bytes(data.draw(damaged_bytes(content)))
    read_or_refused(read_trace, tmp_path)


@pytest.mark.nightly
@fuzzed
@given(data=st.data())
def test_damaged_columns(data: st.DataObject, tmp_path: Path) -> None:
    good = columns()
    numbers = data.draw(damaged_arrays({name: good[name] for name in NUMBERS}))
    texts = {name: data.draw(st.sampled_from((good[name], *ODD))) for name in ("agent", "kind", "strategy")}
    changed = {**numbers, **texts}
    table = {name: list(np.ravel(values))[:4] for name, values in changed.items() if len(np.ravel(values)) >= 4}
    write(tmp_path / "part-00001.parquet", {name: table[name] for name in (*SCHEMA.names, *table) if name in table})
    if EXAMPLES > 100 or texts["kind"] != good["kind"]:
        study(tmp_path)
    else:
        read_or_refused(read_trace, tmp_path)
