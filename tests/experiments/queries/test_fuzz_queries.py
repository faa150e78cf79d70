"""Queries in every format, streams, predictors and traces of answers, damaged in every way: read right, or refused."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import (
    NASTY,
    changed_data,
    damaged_arrays,
    damaged_bytes,
    damaged_json,
    damaged_lines,
    damaged_safetensors,
    dumps,
    fuzzed,
    read_or_refused,
)
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from walras.experiments.queries.batch import allocate_file
from walras.experiments.queries.predictors import Ridge, load_predictor, read_problems, save_predictor
from walras.experiments.queries.query_files import read_rows
from walras.experiments.queries.rows import FIELDS
from walras.experiments.queries.stream import filter_stream
from walras.files.lines import lines_of
from walras.market.queries import OnlineMarket, Queries, ShortestFirst

BUDGET = 900.0
QUERIES: list[dict[str, Any]] = [
    {"id": "a", "threshold": 100.0, "weight": 1.0, "headroom": 60.0, "cap": 900.0, "text": "the cat", "user": 1},
    {"id": 7, "threshold": 220.5, "weight": 2.5, "headroom": 50.0, "cap": 400.0, "text": "ein Bär", "user": 2},
    {"id": "c", "threshold": 40.0, "weight": 0.5, "headroom": 90.0, "cap": 60.0, "text": "a dog ran", "user": 3},
    {"id": "d", "threshold": 300.0, "weight": 1.0, "headroom": 60.0, "cap": 900.0, "text": "", "user": 4},
    {"id": "e", "threshold": 10.0, "weight": 1.0, "headroom": 60.0, "cap": 900.0, "text": "x" * 400, "user": 5},
]
LINES = [dumps(record) for record in QUERIES]


def check(path: Path) -> None:
    """Grants of a damaged file: as many rows as it has, none beyond its cap, all within the budget; sound JSON."""
    out = path.with_name("grants.jsonl")
    found = read_or_refused(allocate_file, path, out, ShortestFirst(), BUDGET, skip_bad=True)
    assert not list(path.parent.glob(".*")), "nothing is left behind"
    if found is None:
        assert not out.exists()
        return
    allocation, bad = found
    grants = [json.loads(line, parse_constant=pytest.fail) for line in out.read_text("utf-8").splitlines()]
    rows = list(read_rows(path))
    assert [grant["id"] for grant in grants] == [row.id for row in rows]
    assert all(isinstance(grant["max_tokens"], int) and grant["max_tokens"] >= 0 for grant in grants)
    assert sum(grant["max_tokens"] for grant in grants) == allocation.spent <= BUDGET
    wrong = {row.number for row in bad}
    assert {row.number for row in rows if row.problem} <= wrong
    assert all(len(str(row)) < 400 and str(row).isprintable() for row in bad)
    fine = [(grant, row) for grant, row in zip(grants, rows, strict=True) if row.number not in wrong]
    assert all(grant["max_tokens"] <= row.cap for grant, row in fine)
    assert all((grant["status"] == "bad") == (row.number in wrong) for grant, row in zip(grants, rows, strict=True))
    columns = {"weight": "weight", "headroom": "headroom", "cap": "cap"}
    kept = Queries(
        np.array([row.least for _, row in fine]),
        **{name: np.array([getattr(row, field) for _, row in fine]) for name, field in columns.items()},
    )
    if fine and kept.headroom is not None and np.isfinite(kept.headroom).all():  # else it depends on all of them
        alone = ShortestFirst()(kept, BUDGET)
        assert [grant["max_tokens"] for grant, _ in fine] == alone.tokens.tolist(), "bad rows change nothing for others"
    out.unlink()


@fuzzed
@given(content=damaged_lines(QUERIES))
def test_json_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content)
    check(path)


def csv_of(records: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    names = list(dict.fromkeys(str(name) for record in records for name in record))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([str(record.get(name, "")) for name in names] for record in records)
    return text.getvalue().encode(errors="surrogatepass")


@st.composite
def damaged_csv(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return draw(damaged_bytes(csv_of(QUERIES)))
    records = [dict(record) for record in QUERIES]
    for _ in range(draw(st.integers(1, 3))):
        changed = draw(changed_data(draw(st.sampled_from(records))))
        records[draw(st.integers(0, len(records) - 1))] = changed if isinstance(changed, dict) else {"x": changed}
    return draw(damaged_bytes(csv_of(records))) if draw(st.booleans()) else csv_of(records)


@pytest.mark.nightly
@fuzzed
@given(content=damaged_csv())
def test_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(content)
    check(path)


NAMES = [name for name in FIELDS if name in QUERIES[0]]
TABLE = pa.table({name: [str(query[name]) if name == "id" else query[name] for query in QUERIES] for name in NAMES})
TYPES = (pa.string(), pa.int8(), pa.int64(), pa.float16(), pa.float32(), pa.bool_(), pa.binary(), pa.decimal128(20, 3))


@st.composite
def damaged_parquet(draw: st.DrawFn) -> bytes:
    table, checksums = TABLE, draw(st.booleans())
    if draw(st.booleans()):
        place = draw(st.integers(0, table.num_columns - 1))
        name = table.column_names[place]
        kind = draw(st.sampled_from(("drop", "twice", "null", "type", "utf8", "values")))
        if kind == "drop":
            table = table.remove_column(place)
        elif kind == "twice":
            table = table.append_column(name, table.column(place))
        elif kind == "null":
            table = table.set_column(place, name, pa.nulls(len(table), draw(st.sampled_from(TYPES))))
        elif kind == "type":
            texts = pa.array([str(i) for i in range(len(table))])
            table = table.set_column(place, name, texts.cast(draw(st.sampled_from(TYPES[1:3]))))
        elif kind == "utf8":
            raw = pa.array([b"x", b"\xff\xfe", b"y", b"\xc3", b"z"])
            table = table.set_column(place, name, pa.Array.from_buffers(pa.string(), 5, raw.buffers()))
        else:
            nasty = [value for value in NASTY if type(value) is float or value is None]
            values = draw(st.lists(st.sampled_from(nasty), min_size=len(table), max_size=len(table)))
            table = table.set_column(place, name, pa.array(values, pa.float64()))
    file = io.BytesIO()
    pq.write_table(table, file, write_page_checksum=checksums)
    return draw(damaged_bytes(file.getvalue())) if draw(st.booleans()) else file.getvalue()


@fuzzed
@given(content=damaged_parquet())
def test_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "q.parquet"
    path.write_bytes(content)
    check(path)


STREAM: list[Any] = [
    *({name: value for name, value in record.items() if name != "headroom"} for record in QUERIES),
    [{"id": "f", "threshold": 5.0}, {"id": 8, "threshold": 50.0}],
    {"id": "a", "used": 80}, {"id": 7, "used": 10**6}, {"id": "c", "used": 0},
]  # fmt: skip


@pytest.mark.nightly
@fuzzed
@given(content=damaged_lines(STREAM))
def test_stream(content: bytes) -> None:
    """Every line has its answer, and no window grants more than its budget."""
    market, out = OnlineMarket(BUDGET, 3), io.StringIO()
    figures = filter_stream(market, lines_of(io.BytesIO(content)), out)
    answers = [json.loads(line, parse_constant=pytest.fail) for line in out.getvalue().splitlines()]
    assert sum(figures[name] for name in ("funded", "abandoned", "bad", "refunded")) == len(answers)
    tokens = [answer.get("max_tokens", 0) for answer in answers]
    assert all(isinstance(number, int) and 0 <= number <= BUDGET for number in tokens)
    assert sum(tokens) == figures["granted"]
    assert market.left <= BUDGET
    assert math.isfinite(figures["price"] or 0.0)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [f"the cat {'step ' * (i % 7)}" for i in range(30)]
    folder = tmp_path_factory.mktemp("predictor") / "p"
    save_predictor(Ridge(size=16).fit(texts, np.array([20.0 * (1 + i % 7) for i in range(30)]), 512.0), folder)
    return folder


def predicted(folder: Path) -> list[float]:
    told = load_predictor(folder).predict([str(query["text"]) for query in QUERIES])
    return [*told.threshold.tolist(), *told.chance.tolist()]


@pytest.mark.nightly
@fuzzed
@given(data=st.data())
def test_predictors(predictor: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Settings, tensors, or both are damaged; with the hash, tensors that changed at all are refused."""
    settings, tensors = (predictor / name for name in ("predictor.json", "predictor.safetensors"))
    told, content, sound = json.loads(settings.read_text()), tensors.read_bytes(), predicted(predictor)
    without = {name: value for name, value in told.items() if name != "tensors"}
    kind = data.draw(st.sampled_from(("settings", "bytes", "arrays", "hash")))
    text, stored = dumps(told if kind == "hash" else without).encode(), content
    if kind == "settings":
        text = data.draw(damaged_json(told))
    elif kind == "arrays" or (kind == "hash" and data.draw(st.booleans())):
        stored = save(data.draw(damaged_arrays(load(content))))
    else:
        stored = data.draw(damaged_safetensors(content))
    (tmp_path / "predictor.json").write_bytes(text)
    (tmp_path / "predictor.safetensors").write_bytes(stored)
    found = read_or_refused(predicted, tmp_path)
    assert found is None or all(math.isfinite(value) for value in found)
    if kind == "hash" and stored != content:
        assert found is None
    if stored == content and text == settings.read_bytes():
        assert found == sound


TRACES = [
    {"text": f"text {i}", "samples": [{"tokens": 10 * i, "correct": True},
                                      {"tokens": 9, "correct": False, "censored": True}]} for i in range(4)
]  # fmt: skip


@fuzzed
@given(content=damaged_lines(TRACES))
def test_traces(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    found = read_or_refused(read_problems, path)
    for problem in found or []:
        problem.text.encode()
        assert len(problem.tokens) == len(problem.correct) == len(problem.censored) > 0
        assert all(0 <= number <= 2**53 for number in problem.tokens)
