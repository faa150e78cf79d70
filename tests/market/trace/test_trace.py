"""The trace: one part per round, whole or not at all, and open to any reader of parquet."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walras.agents import Fisher
from walras.errors import InputError
from walras.market import ComputeMarket, read_trace
from walras.market.trace import SCHEMA

# Of DESIGN.md, in its order.
COLUMNS = [
    "round", "agent", "kind", "layer", "index", "strategy",
    "cost", "value", "bid", "quantity", "price", "payment", "surplus", "wealth",
]  # fmt: skip
PARTS = ["part-00001.parquet", "part-00002.parquet", "part-00003.parquet"]


@pytest.fixture
def run(floor: Any, tmp_path: Path) -> tuple[ComputeMarket, Path]:
    """Three rounds, traced into the run folder's `trace`."""
    market: ComputeMarket = floor.market(Fisher(), budgets=[0.9, 0.6, 0.4], trace=tmp_path / "trace", endowment=0.1)
    for _ in range(3):
        market.step()
    return market, tmp_path


def test_a_part_a_round_in_the_designs_columns(run: tuple[ComputeMarket, Path]) -> None:
    market, folder = run
    assert SCHEMA.names == COLUMNS
    assert sorted(p.name for p in (folder / "trace").iterdir()) == PARTS
    for number, name in enumerate(PARTS, 1):
        frame = pd.read_parquet(folder / "trace" / name)
        assert list(frame.columns) == COLUMNS
        assert len(frame) == 14
        assert set(frame["round"]) == {number}
    last, ledger = pd.read_parquet(folder / "trace" / PARTS[-1]), market.ledger
    assert last["agent"].tolist()[:3] == ["L0.H0", "L0.H1", "L0.F0"]
    for column in ("cost", "value", "quantity", "price", "payment", "surplus", "wealth"):
        assert np.array_equal(last[column], getattr(ledger, column)), column
    assert np.array_equal(last["bid"], ledger.report)
    assert last["kind"].tolist() == ledger.kind.tolist()
    assert (last["layer"].tolist(), last["index"].tolist()) == (ledger.layer.tolist(), ledger.index.tolist())
    assert set(last["strategy"]) == {"truthful"}


def test_any_reader_opens_the_whole_folder(run: tuple[ComputeMarket, Path]) -> None:
    _, folder = run
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "trace"), read_trace(folder))


def test_a_trace_is_read_from_run_folder_trace_folder_and_part(run: tuple[ComputeMarket, Path]) -> None:
    _, folder = run
    whole = read_trace(folder)
    assert whole["round"].tolist() == [1] * 14 + [2] * 14 + [3] * 14
    pd.testing.assert_frame_equal(read_trace(str(folder / "trace")), whole)
    part = read_trace(folder / "trace" / PARTS[1])
    pd.testing.assert_frame_equal(part, whole[14:28].reset_index(drop=True))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", tmp_path, tmp_path / PARTS[0]):
        with pytest.raises(InputError, match=r"holds no trace: expected part-00001\.parquet there or in a folder"):
            read_trace(place)


def test_a_file_that_is_no_parquet_is_named(run: tuple[ComputeMarket, Path]) -> None:
    _, folder = run
    broken = folder / "trace" / PARTS[1]
    for content in (b"", b"garbage", broken.read_bytes()[:-20]):
        broken.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read part of a trace .*part-00002\.parquet'"):
            read_trace(folder)


def test_a_table_that_is_no_trace_is_named(run: tuple[ComputeMarket, Path]) -> None:
    """Missing columns must not come back as columns of nothing."""
    market, folder = run
    market.frame.to_parquet(folder / "rounds.parquet")
    with pytest.raises(InputError, match=r"rounds\.parquet is not a part of a trace: its columns are round, budget"):
        read_trace(folder / "rounds.parquet")


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["write", "replace"])
def test_a_failure_while_writing_leaves_no_part(
    floor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, place: str
) -> None:
    market = floor.market(Fisher(), budgets=[0.9, 0.6, 0.4], trace=tmp_path)
    market.step()

    def torn(table: pa.Table, where: Path, **_: Any) -> None:
        Path(where).write_bytes(b"PAR1 half a part")
        raise error

    def no_replace(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", torn) if place == "write" else patched.setattr(os, "replace", no_replace)
        with pytest.raises(type(error)):
            market.step()
    assert [p.name for p in tmp_path.glob("part-*.parquet")] == PARTS[:1]
    assert set(read_trace(tmp_path)["round"]) == {1}
    market.step()  # the next round's part is written as if nothing had happened
    assert set(read_trace(tmp_path)["round"]) == {1, 3}


def test_rounds_of_two_markets_are_not_mixed(run: tuple[ComputeMarket, Path], floor: Any) -> None:
    _, folder = run
    before = read_trace(folder)
    again = floor.market(Fisher(), trace=folder / "trace")
    with pytest.raises(InputError, match=r"part-00001\.parquet is there already, from another market"):
        again.step()
    pd.testing.assert_frame_equal(read_trace(folder), before)


def test_a_folder_may_be_given_as_text(floor: Any, tmp_path: Path) -> None:
    floor.market(Fisher(), trace=str(tmp_path / "a" / "b")).step()
    assert len(read_trace(tmp_path / "a" / "b")) == 14
