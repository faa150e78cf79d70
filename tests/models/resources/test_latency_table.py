"""Files with measured times as strangers leave them: read or refused, by the name of the entry that is wrong."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fuzzing import damaged_json, fuzzed, read_or_refused
from hypothesis import given

from walras.errors import InputError
from walras.models.resources.latency_table import FORMAT, Curve, LatencyTable, Setting, check_cache, read_table

SOUND = LatencyTable(
    Setting("cpu", "float32", 2, 9, 1, "2.9"), "abc", 5.0, 1.0, {"heads 4 x 6": Curve((0, 6, 12), (0.0, 1.0, 1.5))}
)


def told(tmp_path: Path, **changes: Any) -> Path:
    SOUND.write(tmp_path / "table.json")
    content = {**json.loads((tmp_path / "table.json").read_text()), **changes}
    (tmp_path / "table.json").write_text(json.dumps(content))
    return tmp_path / "table.json"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_table(told(tmp_path)) == SOUND


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 9}, "has format 9; this version reads 2"),
        ({"format": "2"}, "format is '2'; it must be a whole number"),
        ({"dense_ms": 0.5}, r"is not sound: dense 0\.5 ms, empty 1\.0 ms"),
        ({"empty_ms": 0}, r"is not sound"),
        ({"dense_ms": float("nan")}, "dense_ms is nan"),
        ({"dense_ms": 10**400}, "holds a number of more than 300 digits"),
        ({"network": None}, "network is None; it must be a text"),
        ({"setting": {"device": "cpu"}}, "setting has no 'dtype'"),
        ({"setting": []}, r"setting holds \[\]"),
        ({"curves": [1]}, r"curves holds \[1\]"),
        ({"curves": {"a": {"features": [0, 6.5], "ms": [0, 1]}}}, r"curves: a: features is 6\.5"),
        ({"curves": {"a": {"features": [0, 6], "ms": [0, -1]}}}, r"curves: a: ms is -1"),
        ({"curves": {"a": {"features": [0, 6], "ms": [0, "x"]}}}, r"curves: a: ms is 'x'"),
        ({"curves": {"a": {"features": [6, 0], "ms": [0, 1]}}}, r"curves: a: a curve must rise from 0"),
        ({"curves": {"a": {"features": [0], "ms": [0]}}}, r"curves: a: a curve must rise from 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"table\\.json.*{message}"):
        read_table(told(tmp_path, **changes))


@fuzzed
@given(content=damaged_json(json.loads(json.dumps({"format": FORMAT, **asdict(SOUND)}))))
def test_damaged_tables(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "table.json").write_bytes(content)
    table = read_or_refused(read_table, tmp_path / "table.json")
    if table is not None:
        assert 0 < table.empty_ms < table.dense_ms < 1e13


def test_a_cache_that_cannot_be_written_is_found_out(tmp_path: Path) -> None:
    check_cache(tmp_path / "new" / "cache")
    assert list((tmp_path / "new" / "cache").iterdir()) == []
    for place in (Path("/dev/null/x"), tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(InputError, match=r"the cache .* cannot be written: .*; set WALRAS_CACHE to a folder"):
            check_cache(place)
