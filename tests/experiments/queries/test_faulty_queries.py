"""`walras allocate` on files, streams and places that are not as they should be: each fault once, with its answer."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walras.errors import InputError
from walras.experiments.queries.batch import allocate_file
from walras.experiments.queries.stream import MOST_TOGETHER, filter_stream
from walras.files.lines import LONGEST, lines_of
from walras.files.locks import BusyError, one_writer
from walras.market.queries import Clear, OnlineMarket, Queries

Walras = Callable[..., Any]
GOOD = '{"id": "a", "threshold": 100}'


def streamed(*lines: bytes | str, market: OnlineMarket | None = None, **more: Any) -> list[dict[str, Any]]:
    """Answers to lines."""
    content = b"".join(line.encode() + b"\n" if isinstance(line, str) else line + b"\n" for line in lines)
    out = io.StringIO()
    chosen = OnlineMarket(1000, 4, headroom=100.0) if market is None else market
    filter_stream(chosen, lines_of(io.BytesIO(content)), out, **more)
    return [json.loads(line, parse_constant=pytest.fail) for line in out.getvalue().splitlines()]


BAD_LINES = [
    ('{"id": "b", "threshold": 50, "weight": 1e308}', "has weight 1e+308; valid: a number from 1e-12 to 1e+12"),
    ('{"id": "b", "threshold": 1' + "0" * 400 + "}", "has threshold a number of more than 60 digits; valid"),
    ('{"id": "b", "threshold": 1' + "0" * 5000 + "}", "is no JSON: Exceeds the limit"),
    ('{"id": "b", "threshold": 1e300}', "has threshold 1e+300; valid: a number from 0 to 9.0072e+15, or inf"),
    ('{"id": "b", "threshold": 9e99, "cap": 5}', "has threshold"),
    ('{"id": "b", "threshold": 5, "cap": 1e19}', "has cap 1e+19"),
    ('{"id": "b", "threshold": 5, "headroom": 1e-300}', "has headroom 1e-300"),
    ('{"id": "b", "threshold": 5, "reserve": -1}', "has reserve -1"),
    ('{"id": "b", "threshold": 5, "reserve": Infinity}', "has reserve inf"),
    ('{"id": "b", "threshold": "1_000"}', "has threshold '1_000'"),
    ('{"id": "b", "threshold": "1' + "0" * 400 + '"}', "has threshold '1000"),
    ('{"id": "\\ud800", "threshold": 5}', "is no JSON: it holds a text with half a character"),
    ('{"id": "b\\u0000", "threshold": 5}', "has id 'b\\x00'"),
    ('{"id": "' + "b" * 1001 + '", "threshold": 5}', "has an id of 1,001 characters; valid: up to 1,000"),
    ('{"id": 1.5, "threshold": 5}', "has id 1.5; valid: a text or a whole number"),
    ('{"id": true, "threshold": 5}', "has id True"),
    ("[" * 200_000, "is no JSON: it is nested too deeply"),
    (b'{"id": "b\xff", "threshold": 5}', "is no UTF-8"),
    (b"\xff", "is no UTF-8"),
    ('"hello"', "is no object with fields"),
    ('{"id": "b", "threshold": 5, "weigth": 3}', "has a field 'weigth', and no weight; give weight, or name"),
    ('{"id": "b", "treshold": 5}', "has a field 'treshold', and no threshold"),
    ('{"id": "b", "threshold": 5, "Cap": 3}', "has a field 'Cap', and no cap"),
    ('{"ids": "b", "threshold": 5}', "has id None; valid: a text or a whole number. Is 'ids' the id?"),
]


@pytest.mark.parametrize(("line", "problem"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_of_a_stream_is_told_and_the_stream_goes_on(line: Any, problem: str) -> None:
    first, bad, last = streamed(GOOD, line, '{"id": "z", "threshold": 100}')
    assert first["status"] == last["status"] == "funded"
    assert (bad["status"], bad["max_tokens"]) == ("bad", 0)
    assert problem in bad["problem"]
    assert len(bad["problem"]) < 300


@pytest.mark.parametrize(("line", "problem"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_of_a_file_is_a_named_row(walras: Walras, tmp_path: Path, line: Any, problem: str) -> None:
    queries, out = tmp_path / "q.jsonl", tmp_path / "g.jsonl"
    raw = line.encode() if isinstance(line, str) else line
    queries.write_bytes(b"\n".join([GOOD.encode(), raw, b'{"id": "z", "threshold": 100}']))
    error = walras("allocate", queries, "--budget", 1000, "--out", out).error
    assert error.startswith("row 2 ")
    assert problem in error
    assert not out.exists()
    found = walras("allocate", queries, "--budget", 1000, "--out", out, "--on-bad", "skip", "--json")
    assert found.code == 0, found.err
    grants = [json.loads(given) for given in out.read_text().splitlines()]
    assert [grant["status"] for grant in grants] == ["funded", "bad", "funded"]
    assert [grant["max_tokens"] for grant in grants] == [500, 0, 500]


def test_a_line_without_end_is_passed_over() -> None:
    content = io.BytesIO(GOOD.encode() + b"\n" + b"x" * (3 * LONGEST) + b"\n" + GOOD.replace("a", "b").encode())
    found = [json.loads(line) for line in _answers(content)]
    assert [answer["status"] for answer in found] == ["funded", "bad", "funded"]
    assert f"line 2 is longer than {LONGEST:,} characters" in found[1]["problem"]


def _answers(content: io.BytesIO) -> list[str]:
    out = io.StringIO()
    filter_stream(OnlineMarket(1000, 4, headroom=100.0), lines_of(content), out)
    return out.getvalue().splitlines()


def test_too_many_queries_in_a_line() -> None:
    (found,) = streamed(json.dumps([1] * (MOST_TOGETHER + 1)))
    assert found["problem"] == "line 1 holds 65,537 queries; valid: 65,536"


def test_more_used_than_granted_is_told_and_charged() -> None:
    market = OnlineMarket(1000, 4, headroom=50.0)
    grant, refund = streamed('{"id": "a", "threshold": 100}', '{"id": "a", "used": 5000}', market=market)
    over = 5000 - grant["max_tokens"]
    assert {name: refund[name] for name in ("id", "status", "returned", "expired", "over")} == {
        "id": "a", "status": "refunded", "returned": 0, "expired": 0, "over": over,
    }  # fmt: skip
    assert market.left == 1000 - 5000
    for used in ("-1", "1.5", "true", "null", '"7"', "1e400", "1" + "0" * 400):
        *_, bad = streamed('{"id": "a", "threshold": 100}', f'{{"id": "a", "used": {used}}}')
        assert "valid: a whole number, 0 to 9007199254740992" in bad["problem"]


def test_ids_come_back_as_they_came(walras: Walras, tmp_path: Path) -> None:
    queries = ('{"id": 7, "threshold": 100}', '{"id": "x", "threshold": 1}')
    found = streamed(*queries, '{"id": 7, "used": 3}', '{"id": [1], "used": 3}')
    assert [answer["id"] for answer in found] == [7, "x", 7, None]
    assert found[2]["status"] == "refunded"
    assert "live already" in streamed(queries[0], '{"id": "7", "threshold": 9}')[1]["problem"]
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(queries))
    for name, ids in (("g.jsonl", [7, "x"]), ("g.csv", ["7", "x"]), ("g.parquet", ["7", "x"])):
        assert walras("allocate", file, "--budget", 500, "--out", tmp_path / name).code == 0
        out = tmp_path / name
        if name == "g.jsonl":
            assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ids
        else:
            assert (pd.read_csv(out) if name == "g.csv" else pd.read_parquet(out))["id"].tolist() == ids
    file.write_text('{"id": 7, "threshold": 100}\n{"id": "7", "threshold": 1}\n')
    assert "row 2 (id '7') has the id of row 1" in walras("allocate", file, "--budget", 500).error


CSV_ROWS = [
    (b"b," + b"9" * 140_000, "is no csv that can be worked with (field larger than field limit (131072))"),
    (b"b\0,5", "holds bytes that are 0"),
    (b"b\xff,5", "is no UTF-8"),
    (b'b,"5"x', "is no csv that can be worked with"),
    (b"b,5,6", "has more fields than the first line"),
    (b"b", "has no threshold"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "problem"), CSV_ROWS, ids=range(len(CSV_ROWS)))
def test_bad_rows_of_csv_are_named(walras: Walras, tmp_path: Path, row: bytes, problem: str) -> None:
    queries, out = tmp_path / "q.csv", tmp_path / "g.csv"
    queries.write_bytes(b"\xef\xbb\xbfid,threshold\na,100\n" + row + b"\nz,100\n")  # with a mark of the byte order
    error = walras("allocate", queries, "--budget", 1000, "--out", out).error
    assert error.startswith("row 2 ")
    assert problem in error
    assert walras("allocate", queries, "--budget", 1000, "--out", out, "--on-bad", "skip").code == 0
    assert pd.read_csv(out)["max_tokens"].tolist() == [500, 0, 500]


def test_an_open_quote_does_not_swallow_queries_in_silence(walras: Walras, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('id,threshold\na,100\n"b,100\nc,100\n')
    assert "row 2 is no csv that can be worked with (unexpected end of data)" in walras(
        "allocate", tmp_path / "q.csv", "--budget", 1000
    ).error  # fmt: skip


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,threshold,weigth", "has a column 'weigth', and no weight; give weight"),
        ("id,threshold,threshold", "has the column threshold twice"),
        ("ids,threshold", "has no column id; it has: 'ids, threshold'. Is 'ids' the id?"),
    ],
)
def test_columns_that_no_row_can_do_with(walras: Walras, tmp_path: Path, header: str, message: str) -> None:
    (tmp_path / "q.csv").write_text(f"{header}\na,1,2\n")
    assert message in walras("allocate", tmp_path / "q.csv", "--budget", 10, "--on-bad", "skip").error


def test_other_fields_are_nobodys_business(walras: Walras, tmp_path: Path) -> None:
    line = '{"id": "a", "threshold": 100, "weight": 2, "weights": [1], "user": null, "context": {}, "test": 1}'
    assert streamed(line)[0]["status"] == "funded"


def test_text_that_is_no_utf8_in_parquet_is_a_named_row(walras: Walras, tmp_path: Path) -> None:
    queries, out = tmp_path / "q.parquet", tmp_path / "g.jsonl"
    raw = pa.array([b"a", b"\xff\xfe", b"z"])
    ids = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    pq.write_table(pa.table({"id": ids, "threshold": [100.0, 5.0, 100.0]}), queries)
    assert "row 2 holds text that is no UTF-8" in walras("allocate", queries, "--budget", 1000).error
    assert walras("allocate", queries, "--budget", 1000, "--on-bad", "skip", "--out", out).code == 0
    assert [json.loads(line)["max_tokens"] for line in out.read_text().splitlines()] == [500, 0, 500]


def test_flipped_bits_in_parquet_are_an_error_of_one_line(walras: Walras, tmp_path: Path) -> None:
    queries = tmp_path / "q.parquet"
    table = pa.table({"id": [f"q{i}" for i in range(500)], "threshold": np.arange(500.0)})
    pq.write_table(table, queries, write_page_checksum=True, use_dictionary=False, compression="NONE")
    content = bytearray(queries.read_bytes())
    content[len(content) // 2] ^= 16
    queries.write_bytes(bytes(content))
    found = walras("allocate", queries, "--budget", 1000, "--on-bad", "skip", "--out", tmp_path / "g.csv").error
    assert found.startswith(f"cannot read queries {str(queries)!r}: ")
    queries.write_bytes(bytes(content[: len(content) // 2]))
    assert "cannot read queries" in walras("allocate", queries, "--budget", 1000).error


@pytest.mark.parametrize("budget", ["1e30", "1e19", "9.3e18"])
def test_a_budget_that_overflows_is_refused(walras: Walras, tmp_path: Path, budget: str) -> None:
    (tmp_path / "q.jsonl").write_text(GOOD)
    out = tmp_path / "g.jsonl"
    error = walras("allocate", tmp_path / "q.jsonl", "--budget", budget, "--out", out).error
    assert error == f"budget is {float(budget)!r}; it must be a number from 0 to 9.0072e+15, or inf"
    assert not out.exists()
    assert "budget is" in walras("allocate", "-", "--stream", "--budget", budget).error


def test_a_second_writer_is_refused_by_name(tmp_path: Path) -> None:
    queries, out = tmp_path / "q.jsonl", tmp_path / "g.jsonl"
    queries.write_text(GOOD)
    out.write_text("old")
    with one_writer(out), pytest.raises(BusyError, match=f"is being written by process {os.getpid()} on"):
        allocate_file(queries, out, Clear(), 1000)
    assert out.read_text() == "old"
    allocate_file(queries, out, Clear(), 1000)
    assert json.loads(out.read_text())["max_tokens"] == 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.jsonl", "q.jsonl"]


def test_a_link_is_followed_and_said(walras: Walras, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(GOOD)
    (tmp_path / "far").mkdir()
    link, real = tmp_path / "g.jsonl", tmp_path / "far" / "real.jsonl"
    link.symlink_to(real)
    found = walras("allocate", tmp_path / "q.jsonl", "--budget", 1000, "--out", link)
    assert f"Written: {link}, a link to {real}" in found.out
    assert link.is_symlink()
    assert json.loads(real.read_text())["id"] == "a"
    told = walras("allocate", tmp_path / "q.jsonl", "--budget", 9, "--out", link, "--json").out
    assert json.loads(told)["out"] == str(real)
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    assert "is a folder" in walras("allocate", tmp_path / "q.jsonl", "--budget", 9, "--out", folder).error
    (tmp_path / "loop.csv").symlink_to(tmp_path / "q.csv")
    (tmp_path / "q.csv").write_text("id,threshold\na,1\n")
    assert "is the file of the queries" in walras(
        "allocate", tmp_path / "q.csv", "--budget", 9, "--out", tmp_path / "loop.csv"
    ).error  # fmt: skip


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    queries, out = tmp_path / "q.jsonl", tmp_path / "g.jsonl"
    queries.write_text(GOOD + "\n" + GOOD.replace('"a"', '"b"'))

    class Meddling:
        """Allocates, while somebody appends to the file."""

        def __call__(self, batch: Queries, budget: float) -> Any:
            with queries.open("a") as file:
                file.write("\n" + GOOD.replace('"a"', '"c"'))
            return Clear()(batch, budget)

    with pytest.raises(InputError, match="was changed while it was read"):
        allocate_file(queries, out, Meddling(), 1000)  # type: ignore[arg-type]  # all that is needed of one
    assert [path.name for path in tmp_path.iterdir()] == ["q.jsonl"]


def test_tokens_are_kept_for_the_answer(walras: Walras, tmp_path: Path) -> None:
    """The grant covers both: an answer that cannot be written is worth nothing. A row's own reserve goes before."""
    queries, out = tmp_path / "q.jsonl", tmp_path / "g.jsonl"
    queries.write_text('{"id": "a", "threshold": 100}\n{"id": "b", "threshold": 100, "reserve": 250}\n')
    options = ("--headroom", 50, "--budget", 10_000, "--out", out)
    for reserve, expected in ((0, [150, 400]), (30, [180, 400])):
        assert walras("allocate", queries, *options, "--reserve", reserve).code == 0
        assert [json.loads(line)["max_tokens"] for line in out.read_text().splitlines()] == expected
    assert walras("allocate", queries, "--headroom", 50, "--budget", 340, "--out", out).code == 0
    assert [json.loads(line)["max_tokens"] for line in out.read_text().splitlines()] == [150, 0]
    queries.write_text(f'{{"id": "a", "threshold": {2**53}, "reserve": {2**53}}}\n')
    assert walras("allocate", queries, *options).code == 0
    assert json.loads(out.read_text())["status"] == "abandoned"
    assert "reserve is -1" in walras("allocate", queries, *options, "--reserve", -1).error
    market = OnlineMarket(1000, 2, headroom=100.0)
    with_answer = streamed('{"id": "b", "threshold": 100, "reserve": 250}', market=market)[0]["max_tokens"]
    assert with_answer > 350
    assert streamed('{"id": "b", "threshold": 100}', reserve=250, market=OnlineMarket(1000, 2, headroom=100.0))[0][
        "max_tokens"
    ] == with_answer  # fmt: skip


def test_a_stream_has_one_headroom_for_all() -> None:
    (found,) = streamed('{"id": "a", "threshold": 9, "headroom": 5}')
    assert "a stream has one for all, --headroom" in found["problem"]
