"""Traces as files, good and bad; rules and windows as texts."""

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walras.errors import InputError
from walras.experiments.queries.predictors import Prediction
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.requests import read_requests
from walras.market.queries import CountWindows, TimeWindows

Write = Callable[[list[dict[str, Any]]], Path]
GOOD: dict[str, Any] = {"id": "a", "arrival": 5.0, "threshold": 10, "tokens": 20, "correct": True}


def test_columns_in_order_of_arrival(write: Write) -> None:
    late = {**GOOD, "arrival": 9.5, "weight": 2, "max_tokens": 300, "cap": 400, "reserve": 5, "correct": False}
    found = read_requests(write([late, {**GOOD, "id": 7, "tenant": "x", "kind": "chat"}]), reserve=1.0)
    assert found.id == ["7", "a"]
    assert found.arrival.tolist() == [0.0, 4.5]
    assert found.threshold.tolist() == [11.0, 15.0]
    assert found.weight.tolist() == [1.0, 2.0]
    assert found.cap.tolist() == [inf, 300.0]
    assert found.tokens.tolist() == [20, 20]
    assert found.correct.tolist() == [True, False]
    assert found.need.tolist() == [20.0, inf]
    assert (found.judged, found.sorted, len(found)) == (True, 1, 2)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables(tmp_path: Path, ending: str) -> None:
    rows = [{**GOOD, "id": str(i), "arrival": i, "correct": i == 1, "max_tokens": 30 if i else None} for i in range(3)]
    path = tmp_path / f"t.{ending}"
    table = pd.DataFrame(rows)
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    found = read_requests(path)
    assert found.correct.tolist() == [False, True, False]
    assert found.cap.tolist() == [inf, 30.0, 30.0]
    assert found.sorted == 0


def test_a_trace_that_does_not_say_what_is_correct(write: Write) -> None:
    silent = {key: value for key, value in GOOD.items() if key != "correct"}
    found = read_requests(write([silent, {**silent, "id": "b", "correct": None}]))
    assert not found.judged
    assert found.correct.all()
    with pytest.raises(InputError, match=r"row 2 of .* does not say whether its answer is correct, and other rows do"):
        read_requests(write([GOOD, {**silent, "id": "b"}]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrival": None}, r"row 1 \(id 'a'\) has no arrival\. "),
        ({"arrival": None, "arival": 3}, r"has no arrival\. Is 'arival' the arrival\?"),
        ({"arrival": "soon"}, r"has arrival 'soon'; valid: a number from 0 to 1e\+12"),
        ({"arrival": float("nan")}, r"has arrival nan; valid"),
        ({"arrival": -1}, r"has arrival -1; valid"),
        ({"arrival": float("inf")}, r"has arrival inf; valid"),
        ({"tokens": None}, r"has no tokens"),
        ({"tokens": -3}, r"has tokens -3; valid: a whole number from 0"),
        ({"tokens": 2.5}, r"has tokens 2\.5; valid: a whole number"),
        ({"tokens": float("nan")}, r"has tokens nan; valid"),
        ({"tokens": 1e300}, r"has tokens 1e\+300; valid"),
        ({"correct": "perhaps"}, r"has correct 'perhaps'; valid: true or false"),
        ({"correct": 2}, r"has correct 2; valid"),
        ({"max_tokens": -1}, r"has max_tokens -1; valid"),
        ({"threshold": None}, r"has no threshold\. "),
        ({"threshold": None, "text": "why"}, r"has a text and no threshold; give --predictor FOLDER"),
        ({"threshold": float("nan")}, r"has threshold nan"),
        ({"headroom": 3.0}, r"has headroom 3; a stream has one for all, --headroom"),
        ({"id": None}, r"row 1 has id None"),
        ({"weight": 0}, r"has weight 0"),
    ],
)
def test_bad_rows_are_named_or_left_out(write: Write, change: dict[str, Any], message: str) -> None:
    row = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    path = write([row, {**GOOD, "id": "b"}])
    with pytest.raises(InputError, match=message):
        read_requests(path)
    found = read_requests(path, skip_bad=True)
    assert (found.id, len(found.bad)) == (["b"], 1)


def test_an_id_twice_is_bad(write: Write) -> None:
    path = write([GOOD, {**GOOD, "tokens": 99}])
    with pytest.raises(InputError, match=r"row 2 \(id 'a'\) has the id of row 1"):
        read_requests(path)
    assert read_requests(path, skip_bad=True).tokens.tolist() == [20]


def test_files_that_hold_no_trace(write: Write, tmp_path: Path) -> None:
    for path, message in ((write([]), "holds no request"), (tmp_path / "none.jsonl", "there is no file"),
                          (tmp_path / "t.txt", "ends in none of")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read_requests(path)
    table = tmp_path / "t.csv"
    for header, message in (
        ("id,threshold,tokens", "no column arrival"),
        ("id,arrival,threshold,token", "no column tokens"),
        ("id,arrival,arrival,tokens", "arrival twice"),
    ):
        table.write_text(f"{header}\n1,2,3,4\n")
        with pytest.raises(InputError, match=message):
            read_requests(table)


def test_thresholds_from_texts(write: Write) -> None:
    def predict(texts: list[str]) -> Prediction:
        return Prediction(np.array([float(len(text)) for text in texts]), np.full(len(texts), 0.5))

    asked = {key: value for key, value in GOOD.items() if key != "threshold"}
    found = read_requests(write([{**asked, "text": "why", "weight": 4}]), predict=predict)
    assert found.threshold.tolist() == [3.0]
    assert found.weight.tolist() == [2.0]
    with pytest.raises(InputError, match="has text None; a predictor needs one"):
        read_requests(write([asked]), predict=predict)


def test_windows(write: Write) -> None:
    requests = read_requests(write([{**GOOD, "id": str(i), "arrival": i} for i in range(41)]))
    windows = Opening(100.0, 10.0).market("clear", requests).windows
    assert isinstance(windows, TimeWindows)
    assert windows.expected == 100 / (2 * requests.threshold.mean())
    assert Opening(100.0, 60.0, typical=10.0).market("clear", requests).windows.expected == 10
    with pytest.raises(InputError, match="--typical tells how many requests a window of time may have"):
        Opening(100.0, None, 5, typical=10.0)
    assert isinstance(Opening(100.0, None, 5).market("clear", requests).windows, CountWindows)
