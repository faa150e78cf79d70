"""The trace of tokens that buy: what it says is what happened; it is read back as it was, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fuzzing import damaged_bytes, fuzzed, read_or_refused
from hypothesis import given
from hypothesis import strategies as st
from report_pages import check_page

import walras
from walras.errors import InputError
from walras.experiments.sparsifying.from_python import sparsify
from walras.experiments.sparsifying.study import FIRST, TokenStudy, binned
from walras.experiments.sparsifying.trace_table import SCHEMA, read_token_trace, write_part
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.trading import token_markets

Walras = Callable[..., Any]


@pytest.fixture(scope="module")
def found(llama: Path, document: Path) -> Any:
    return sparsify(str(llama), None, str(document), budget=0.6, length=16, device="cpu")


@pytest.fixture(scope="module")
def trace(found: Any) -> pd.DataFrame:
    return pd.DataFrame(pd.concat(found.traces(), ignore_index=True))


@pytest.fixture
def written(trace: pd.DataFrame, tmp_path: Path) -> Path:
    (tmp_path / "trace").mkdir()
    for number, frame in trace.groupby("sequence"):
        write_part(tmp_path / "trace" / f"tokens-{number:05d}.parquet", frame)
    return tmp_path


def test_money_adds_up(trace: pd.DataFrame, found: Any) -> None:
    assert list(trace.columns) == SCHEMA.names
    assert len(trace) == 4 * 16 * len(found.network.maps)
    np.testing.assert_allclose(trace["spent"], trace["price"] * trace["kept"])
    assert (trace["surplus"] >= 0).all()
    assert (trace["kept"] <= trace["offered"]).all()
    for m in found.network.maps:
        rows = trace[(trace["layer"] == m.layer) & (trace["map"] == m.name)]
        assert (rows["price"] == found.calibration.prices[m.path]).all()
        assert (rows["offered"] == m.inputs * m.outputs).all()
        assert (rows["kept"] % m.cost == 0).all()


def test_what_one_map_sold_is_counted_by_hand(trace: pd.DataFrame, found: Any) -> None:
    """Of the first layer's query, whose input no earlier market has changed."""
    ids = next(iter(found.data.batches(4, 1)))["input_ids"][:1]
    traded = next(m for m in found.network.maps if m.name == "query" and m.layer == 0)
    seen: list[torch.Tensor] = []
    handle = found.dense.get_submodule(traded.path).register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    found.dense(ids)
    handle.remove()
    value = seen[0][0].square() * found.network.worths[traded.path] / traded.cost
    price = found.calibration.prices[traded.path]
    rows = trace[(trace["sequence"] == 0) & (trace["layer"] == 0) & (trace["map"] == "query")]
    kept = value >= price
    assert rows["kept"].tolist() == (kept.sum(-1) * traded.cost).tolist()
    surplus = ((value - price).clamp(min=0) * kept).sum(-1) * traded.cost
    np.testing.assert_allclose(rows["surplus"], surplus.detach().numpy(), rtol=1e-4)


def test_surprisal_is_that_of_the_network_that_buys(trace: pd.DataFrame, found: Any) -> None:
    ids = next(iter(found.data.batches(4, 1)))["input_ids"][:1]
    rule = PriceRule(found.calibration.prices)
    with torch.no_grad(), token_markets(found.dense, found.network.maps, found.network.worths, rule):
        logs = found.dense(ids).logits[0].log_softmax(-1)
    expected = [-float(logs[t, ids[0, t + 1]]) for t in range(15)]
    told = trace[(trace["sequence"] == 0)].groupby("position")["surprisal"].first()
    assert np.isnan(told[0])
    np.testing.assert_allclose(told[1:], expected, rtol=1e-4)
    tokens = TokenStudy(trace).tokens
    assert (tokens["surprisal"] - tokens["surprisal_by_lot"]).abs().max() > 0.01


def test_there_and_back(written: Path, trace: pd.DataFrame) -> None:
    again = walras.read_token_trace(written)
    pd.testing.assert_frame_equal(again, trace, check_dtype=False, check_categorical=False)
    assert len(read_token_trace(written / "trace" / "tokens-00001.parquet")) == len(trace) // 4


def test_the_study(trace: pd.DataFrame) -> None:
    study = TokenStudy(trace)
    assert len(study.tokens) == 64
    assert study.maps.shape == (2, 7)
    assert list(study.positions.index) == [*range(FIRST), FIRST]
    first = trace[trace["position"] == 0].groupby("map", observed=True)[["kept", "offered"]].sum()
    assert study.positions["gate"][0] == pytest.approx(first["kept"]["gate"] / first["offered"]["gate"])
    assert study.spread["1st percentile"] <= study.spread["median"] <= study.spread["99th percentile"]
    assert study.surprise is not None
    assert study.surprise["tokens"] == 60


def test_bins_hold_like_many() -> None:
    share = pd.Series(np.arange(40) / 40)
    means = binned(share, 2 * share)
    assert len(means) == 10
    np.testing.assert_allclose(means["mean"], 2 * means["share"])
    np.testing.assert_allclose(means["error"], np.std([0, 0.05, 0.1, 0.15], ddof=1) / 2)


def test_a_control_that_cannot_tell(trace: pd.DataFrame) -> None:
    """Where surprise rises with what was bought the rank correlation is 1; without surprisals there is none."""
    tokens = TokenStudy(trace).tokens.set_index(["sequence", "position"])["share"]
    place = pd.MultiIndex.from_frame(trace[["sequence", "position"]])
    made = trace.assign(surprisal=tokens[place].to_numpy(), surprisal_by_lot=-tokens[place].to_numpy() + 1)
    surprise = TokenStudy(made).surprise
    assert surprise is not None
    assert surprise["own"] == pytest.approx(1)
    assert surprise["by lot"] == pytest.approx(-1)
    assert TokenStudy(trace.assign(surprisal=np.nan)).surprise is None


def test_printed_drawn_and_as_json(walras: Walras, written: Path) -> None:
    answer = walras("trace", written, "--pictures", "p")
    assert answer.code == 0, answer.err
    assert "64 tokens bought" in answer.out
    assert "drawn by lot" in answer.out.replace("\n", " ")
    pictures = {"text.png", "maps.png", "surprisal.png", "first-tokens.png"}
    assert {p.name for p in Path("p").iterdir()} == {*pictures, "report.html"}
    check_page(Path("p/report.html").read_text(encoding="utf-8"), Path("p"))
    told = json.loads(walras("trace", written, "--json").out)
    assert told["tokens"] == 64
    assert len(told["spenders"]) == 8
    assert "is compared with no other" in walras("trace", written, written).error


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kept": -1}, "kept is -1; it must be a number from 0"),
    ({"kept": 2**40}, "a token keeps more than is on offer"),
    ({"price": np.inf}, "price is inf; it must be a number from 0"),
    ({"spent": np.nan}, "column spent has cells that are empty|spent is nan"),
    ({"surprisal": -1.0}, "surprisal is -1.0"),
    ({"position": 0}, "two rows of one token and map"),
    ({"layer": 200_000}, "layer is 200000"),
    ({"price": np.arange(16 * 14) / 1e6}, "price differs between rows of one layer and map"),
    ({"offered": 2**20 + np.arange(16 * 14)}, "offered differs between rows of one layer and map"),
    ({"surprisal": np.arange(16 * 14) / 10}, "surprisal differs between rows of one position"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str, trace: pd.DataFrame, tmp_path: Path) -> None:
    write_part(tmp_path / "tokens-00000.parquet", trace[trace["sequence"] == 0].assign(**change))
    with pytest.raises(InputError, match=said):
        read_token_trace(tmp_path)


def test_a_network_that_was_not_traced(walras: Walras, tmp_path: Path) -> None:
    (tmp_path / "sparsify.json").write_text("{}")
    assert "was written by walras sparsify without --trace" in walras("trace", tmp_path).error


def test_parts_of_one_sequence_and_none(trace: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no token trace"):
        read_token_trace(tmp_path)
    for number in (0, 1):
        write_part(tmp_path / f"tokens-{number:05d}.parquet", trace[trace["sequence"] == 0])
    with pytest.raises(InputError, match="is of sequence 0, which another part has"):
        read_token_trace(tmp_path)
    write_part(tmp_path / "tokens-00000.parquet", trace)
    with pytest.raises(InputError, match="has rows of 4 sequences"):
        read_token_trace(tmp_path / "tokens-00000.parquet")


def test_parts_that_do_not_belong_together(trace: pd.DataFrame, written: Path) -> None:
    folder = written / "trace"
    one = trace[trace["sequence"] == 1]
    for name, change in (
        ("other prices", {"price": one["price"] * 2}),
        ("another network", {"layer": one["layer"] + 1}),
    ):
        write_part(folder / "tokens-00001.parquet", one.assign(**change))
        with pytest.raises(InputError, match=r"tokens-00001.parquet is of another network, or of other prices, than"):
            read_token_trace(written)
        assert len(read_token_trace(folder / "tokens-00001.parquet")) == len(one), name
    (folder / "tokens-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"is of sequence 2; that of sequence 1 is missing before it"):
        read_token_trace(written)


def test_rows_that_are_missing(trace: pd.DataFrame, tmp_path: Path) -> None:
    some = trace[trace["sequence"] == 0]
    part = tmp_path / "tokens-00000.parquet"
    gate = (some["map"] == "gate") & (some["layer"] == 1)
    write_part(part, some[~(gate & (some["position"] == 5))])
    with pytest.raises(InputError, match="lacks a map of one of its tokens"):
        read_token_trace(part)
    write_part(part, some[~gate])  # of another network, as it were
    assert len(read_token_trace(part)) == len(some) - 16


@fuzzed
@given(st.data())
def test_damaged_parts(trace: pd.DataFrame, tmp_path: Path, data: st.DataObject) -> None:
    part = tmp_path / "tokens-00000.parquet"
    write_part(part, trace[trace["sequence"] == 0])
    content = part.read_bytes()
    part.write_bytes(data.draw(damaged_bytes(content)))
    again = read_or_refused(read_token_trace, tmp_path)
    if again is not None:
        assert len(TokenStudy(again).tokens) <= len(again)
