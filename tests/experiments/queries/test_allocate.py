"""`walras allocate`: files and streams of queries, good and bad."""

import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walras.experiments.queries.batch import allocate_file, predicted
from walras.experiments.queries.predictors import Prediction
from walras.experiments.queries.rows import Row
from walras.experiments.queries.stream import filter_stream
from walras.market.queries import ALLOCATORS, Clear, OnlineMarket, Queries

Walras = Callable[..., Any]
THRESHOLDS = np.random.default_rng(0).lognormal(6, 0.8, 200).round(1)
RECORDS = [{"id": f"q{i}", "threshold": float(t)} for i, t in enumerate(THRESHOLDS)]


def rows(path: Path) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        return pd.read_json(path, lines=True)
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.spread
@pytest.mark.parametrize("out", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("source", ["jsonl", "csv", "parquet"])
def test_every_format(walras: Walras, write: Any, tmp_path: Path, source: str, out: str) -> None:
    queries, grants = write(f"q.{source}", RECORDS), tmp_path / f"g.{out}"
    answer = walras("allocate", queries, "--budget", 40_000, "--headroom", 300, "--out", grants, "--json")
    assert answer.code == 0, answer.err
    summary, found = json.loads(answer.out), rows(grants)
    expected = Clear(headroom=300.0)(Queries(THRESHOLDS), 40_000)
    assert list(found.columns) == ["id", "max_tokens", "status", "surplus"]
    assert found["id"].tolist() == [r["id"] for r in RECORDS]
    assert found["max_tokens"].tolist() == expected.tokens.tolist()
    assert found["status"].tolist() == expected.status.tolist()
    assert found["surplus"].tolist() == pytest.approx(expected.surplus.tolist())
    assert summary["spent"] == found["max_tokens"].sum() <= 40_000
    assert summary["regime"] == "abandonment"
    assert summary["price"] == pytest.approx(expected.price)
    assert {"unspent", "duality_gap", "funded"} <= set(summary)


def test_parameters_behind_the_name(walras: Walras, write: Any, tmp_path: Path) -> None:
    queries, grants = write("q.jsonl", RECORDS), tmp_path / "g.csv"
    for options in (("--allocator", "posted:price=0.002"), ("--allocator", "POSTED", "--price", 0.002)):
        answer = walras("allocate", queries, "--budget", 40_000, *options, "--out", grants, "--json")
        assert json.loads(answer.out)["price"] == 0.002


def test_an_allocator_of_the_users_own(walras: Walras, write: Any, tmp_path: Path) -> None:
    own, queries = tmp_path / "own.py", write("q.jsonl", RECORDS)
    own.write_text(
        "from walras.market.queries import Allocator\nclass Mine(Allocator):\n    name = 'mine'\n"
        "    def grant(self, queries, bids, budget):\n        return 0 * queries.threshold + 1.0, None\n"
    )
    found = walras(
        "allocate", queries, "--budget", 400, "--allocator", f"{own}:Mine", "--out", tmp_path / "g.csv", "--json"
    )
    assert json.loads(found.out)["spent"] == 200
    own.write_text(own.read_text().replace("return 0", "return 1 / 0"))
    error = walras("allocate", queries, "--budget", 400, "--allocator", f"{own}:Mine").error
    assert error == f"allocator Mine failed ({own}, line 5): ZeroDivisionError: division by zero"


def test_own_columns_and_every_rule(walras: Walras, write: Any, tmp_path: Path) -> None:
    records = [{"id": i, "threshold": 100.0 + i, "weight": 1 + i % 3, "cap": 150 + 40 * (i % 2)} for i in range(30)]
    queries = write("q.jsonl", records)
    for name in sorted(set(ALLOCATORS) - {"exact"}):
        price = ("--price", 0.002) if name == "posted" else ()
        answer = walras("allocate", queries, "--budget", 2500, "--allocator", name, "--out", tmp_path / "g.csv", *price)
        assert answer.code == 0, answer.err
        assert name in answer.out
        found = rows(tmp_path / "g.csv")
        assert (found["max_tokens"] <= [r["cap"] for r in records]).all()
        assert found["max_tokens"].sum() <= 2500
    assert "one concave shape" in walras("allocate", queries, "--budget", 2500, "--allocator", "exact").error


BAD = [
    '{"id": "a", "threshold": 100}', '{"id": "a", "threshold": 90}', '{"id": "b"}', '{"id": "c", "threshold": -4}',
    '{"id": "d", "threshold": "x"}', '{"threshold": 3}', "[1]", '{"id": "e", "threshold": NaN}',
    '{"id": "f", "threshold": 50, "weight": 0}', '{"id": "g", "threshold": true}', '{"id": "h", "thresh',
]  # fmt: skip
PROBLEMS = [
    "row 2 (id 'a') has the id of row 1", "row 3 (id 'b') has no threshold", "row 4 (id 'c') has threshold -4",
    "row 5 (id 'd') has threshold 'x'", "row 6 has id None", "row 7 is no object", "row 8 (id 'e') has threshold nan",
    "row 9 (id 'f') has weight 0", "row 10 (id 'g') has threshold True", "row 11 is no JSON, and the file ends",
]  # fmt: skip


def test_bad_rows_are_named_and_nothing_is_written(walras: Walras, tmp_path: Path) -> None:
    queries, grants = tmp_path / "q.jsonl", tmp_path / "g.jsonl"
    queries.write_text("\n".join(BAD))
    error = walras("allocate", queries, "--budget", 1000, "--out", grants).error
    assert all(problem in error for problem in PROBLEMS[:3])
    assert "and 7 more" in error
    assert not list(tmp_path.glob("*g.jsonl*"))


def test_bad_rows_are_skipped_but_not_lost(walras: Walras, tmp_path: Path) -> None:
    queries, grants = tmp_path / "q.jsonl", tmp_path / "g.jsonl"
    queries.write_text("\n".join(BAD))
    answer = walras("allocate", queries, "--budget", 1000, "--on-bad", "skip", "--out", grants, "--json")
    summary, found = json.loads(answer.out), rows(grants)
    assert found["status"].tolist() == ["funded"] + ["bad"] * 10
    assert summary["bad"] == 10
    assert len(summary["bad_rows"]) == 10
    assert all(told.startswith(problem) for told, problem in zip(summary["bad_rows"], PROBLEMS, strict=True))


def test_nobody_funded_and_nobody_there(walras: Walras, write: Any, tmp_path: Path) -> None:
    queries, grants = write("q.csv", RECORDS), tmp_path / "g.csv"
    for budget in (0, 3):
        summary = json.loads(walras("allocate", queries, "--budget", budget, "--out", grants, "--json").out)
        assert (summary["regime"], summary["funded"], summary["unspent"]) == ("unaffordable", 0, budget)
    (tmp_path / "none.jsonl").write_text("")
    summary = json.loads(walras("allocate", tmp_path / "none.jsonl", "--budget", 9, "--out", grants, "--json").out)
    assert (summary["queries"], summary["regime"]) == (0, "empty")
    assert rows(grants).empty


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("q.txt", "--budget", 5), "ends in none of .jsonl"),
        (("missing.csv", "--budget", 5), "there is no file"),
        (("q.csv", "--budget", -5), "budget is -5"),
        (("q.csv", "--budget", "nan"), "budget is nan"),
        (("q.csv", "--budget", 5, "--headroom", -1), "headroom is -1"),
        (("q.csv", "--budget", 5, "--allocator", "clera"), "Did you mean 'clear'?"),
        (("q.csv", "--budget", 5, "--allocator", "posted"), "needs a price"),
        (("q.csv", "--budget", 5, "--price", 1), "takes no price"),
        (("q.csv", "--budget", 5, "--allocator", "oracle"), "unknown allocator 'oracle'"),
        (("q.csv", "--budget", 5, "--allocator", "posted:price=x"), "price of allocator posted is 'x'"),
        (("q.csv", "--budget", 5, "--utility", "surg"), "Did you mean 'surge'?"),
        (("q.csv", "--budget", 5, "--on-bad", "ignore"), "unknown --on-bad"),
        (("q.csv", "--budget", 5, "--out", "q.csv"), "is the file of the queries"),
        (("q.csv", "--budget", 5, "--out", "g.xls"), "ends in none of"),
        (("-", "--budget", 5), "can be read once only"),
        (("q.csv", "--budget", 5, "--stream"), "--stream reads standard input"),
        (("-", "--budget", 0, "--stream"), "budget is 0"),
    ],
)
def test_bad_options(
    walras: Walras, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write("q.csv", RECORDS[:3])
    assert message in walras("allocate", *arguments).error


def test_a_column_is_missing(walras: Walras, write: Any) -> None:
    for name in ("q.csv", "q.parquet"):
        assert "has no column id" in walras("allocate", write(name, [{"threshold": 5}]), "--budget", 5).error


@pytest.mark.nightly
def test_a_million_rows_are_not_held(tmp_path: Path) -> None:
    """50,000 rows take half of the memory that their text does: numbers are kept, ids are not."""
    import tracemalloc

    queries = tmp_path / "q.jsonl"
    with queries.open("w") as file:
        for i in range(50_000):
            file.write(json.dumps({"id": f"{i:0300d}", "threshold": 100 + i % 7}) + "\n")
    tracemalloc.start()
    found, bad = allocate_file(queries, tmp_path / "g.csv", Clear(headroom=50.0), 1e6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not bad
    assert found.spent == 1_000_000
    assert peak < 8_000_000 < 16_000_000 < queries.stat().st_size


def test_stream_by_function() -> None:
    market, out = OnlineMarket(1000, 4, headroom=100.0), io.StringIO()
    lines = [
        '{"id": "a", "threshold": 100}\n', '[{"id": "b", "threshold": 90}, {"id": 7, "threshold": 20}]\n', "\n",
        '{"id": "a", "used": 120}\n', '{"id": "a", "used": 120}\n', '{"id": "b", "threshold": 90}\n',
        '{"id": "c"}\n', '{"id": "d", "used": "x"}\n', '{"id": "e", "thr',
    ]  # fmt: skip
    figures = filter_stream(market, lines, out)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [f["status"] for f in found] == [
        "funded", "funded", "funded", "refunded", "bad", "bad", "bad", "bad", "bad"
    ]  # fmt: skip
    assert found[3]["returned"] == found[0]["max_tokens"] - 120
    assert found[1]["price"] == found[2]["price"]
    assert "not live" in found[4]["problem"]
    assert "live already" in found[5]["problem"]
    assert "line 7 has no threshold" in found[6]["problem"]
    assert "line 9 is no JSON, and the file ends within it" in found[8]["problem"]
    assert figures["bad"] == 5
    assert figures["granted"] - figures["returned"] == sum(f["max_tokens"] for f in found[1:3]) + 120


@pytest.mark.nightly
def test_the_filter_answers_each_line_while_the_pipe_is_open() -> None:
    code = "from walras.experiments.cli.main import main; main()"
    line = [sys.executable, "-c", code, "allocate", "-", "--stream", "--budget", "1000", "--window", "4"]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for i in range(3):
            process.stdin.write(json.dumps({"id": i, "threshold": 100}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == i
        process.stdout.close()  # nobody reads any more
        process.stdin.write('{"id": 9, "threshold": 5}\n')
        process.stdin.close()
        told = process.stderr.read()
        assert process.wait(60) == 1
        assert "Traceback" not in told
        assert "Exception" not in told


def test_chances_multiply_the_weights_of_rows() -> None:
    rows = [Row(1, "a", weight=3.0, text="short"), Row(2, "b", problem="no text"), Row(3, "c", text="long")]

    def predict(texts: Sequence[str]) -> Prediction:
        assert list(texts) == ["short", "long"]
        return Prediction(np.array([10.0, 20.0]), np.array([0.5, 0.25]))

    found = predicted(rows, predict)
    assert [(row.id, row.weight) for row in found] == [("a", 1.5), ("b", 1.0), ("c", 0.25)]
    assert (found[0].threshold, found[2].threshold) == (10, 20)
    assert math.isnan(found[1].threshold)
