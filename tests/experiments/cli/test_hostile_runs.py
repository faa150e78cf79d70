"""Run folders as strangers leave them, and command lines that cannot be carried out: one line, exit code 2."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walras.experiments.cli.screen import TerminalConsole
from walras.market.trace import SCHEMA

Walras = Callable[..., Any]
ESCAPE = "\x1b[31mL0\x1b]0;title\x07\u202e"


def write_run(folder: Path, **changes: Any) -> Path:
    """A run of one round with six units; some columns changed."""
    table: dict[str, Any] = {name: np.full(6, 0.5) for name in SCHEMA.names}
    table |= {"round": np.ones(6, int), "layer": np.array([0, 0, 0, 1, 1, 1]), "index": np.array([0, 1, 2] * 2)}
    table |= {"quantity": np.array([0.0, 1.0] * 3), "agent": [f"{ESCAPE}{i}" for i in range(6)]}
    table |= {"kind": ["head"] * 6, "strategy": [ESCAPE] * 6}
    (folder / "trace").mkdir(parents=True)
    file = folder / "trace" / "part-00001.parquet"
    pq.write_table(pa.table({name: {**table, **changes}[name] for name in SCHEMA.names}), file)
    return folder


def test_names_of_agents_do_not_steer_the_terminal(walras: Walras, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a[b]")
    other = write_run(tmp_path / "b")
    answer = walras("trace", run, other)
    assert answer.code == 0, answer.err
    assert "L0]0;title0" in answer.out
    assert "a[b] and b: 100 %" in answer.out
    assert not set("\x1b\x07\u202e") & set(answer.out)
    answer = walras("trace", run, "--json")
    assert not set("\x1b\x07\u202e") & set(answer.out)
    assert json.loads(answer.out)["winners"][0]["agent"].startswith(ESCAPE)


@pytest.mark.usefixtures("no_pictures")
def test_names_of_runs_in_pictures(walras: Walras, tmp_path: Path) -> None:
    """The pictures themselves: tests/experiments/reports/test_names.py."""
    runs = [write_run(tmp_path / name) for name in ("a$x^{$", "x" * 250)]
    answer = walras("trace", *runs, "--pictures", "p")
    assert answer.code == 0, answer.err
    assert len(list(Path("p").iterdir())) == 7  # with the page


def test_traces_that_are_damaged(walras: Walras, tmp_path: Path) -> None:
    run = write_run(tmp_path / "absurd", layer=np.full(6, 2**31 - 1))
    assert "layer is 2147483647; it must be a number from 0" in walras("trace", run, "--pictures", "p").error
    run = write_run(tmp_path / "nulls", value=pa.array([None] * 6, pa.float64()))
    assert "column value has cells that are empty" in walras("trace", run).error
    run = write_run(tmp_path / "texts", value=["x"] * 6)
    assert "column value is of type" in walras("trace", run).error
    assert not Path("p").exists()


def test_results_that_are_damaged(walras: Walras, tmp_path: Path) -> None:
    from tests.experiments.store.test_result_file import RESULT

    for change, message in (
        ({"metric": "x"}, "metric holds 'x'; it must map names to values"),
        ({"metric": {**RESULT["metric"], "value": "x"}}, "metric: value is 'x'"),
        ({"budget": None}, "budget is None; it must be a finite number"),
    ):
        (tmp_path / "result.json").write_text(json.dumps({**RESULT, **change}))
        assert message in walras("export", tmp_path, "--out", "e").error
    for content in (b"", b"{", b"\0" * 99, b"[" * 9999, b'{"a": "\\ud800"}', b"\xff"):
        (tmp_path / "result.json").write_bytes(content)
        assert "result" in walras("export", tmp_path, "--out", "e").error
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("place", ["/proc/x", "/dev/null/x", "x" * 300])
def test_places_that_cannot_be_written(walras: Walras, tmp_path: Path, place: str) -> None:
    run = write_run(tmp_path / "run")
    assert "--out" in walras("trace", run, "--pictures", place).error
    assert list(Path().iterdir()) == []


def test_a_full_disk_while_pictures_are_written(
    walras: Walras, tmp_path: Path, no_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28), "p/survival.png")

    monkeypatch.setattr("walras.experiments.reports.pages.writing.write_whole", full)
    answer = walras("trace", write_run(tmp_path / "run"), "--pictures", "p")
    assert answer.error == "No space left on device: 'p/survival.png'"


def test_a_bug_is_told_as_one(walras: Walras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TerminalConsole, "print", lambda *_, **__: 1 / 0, raising=True)
    monkeypatch.setattr("walras.experiments.cli.process.ending.show_error", lambda text, lines=False: print(text))
    answer = walras("trace", write_run(tmp_path / "run"))
    assert answer.code == 1
    assert answer.out == "internal error: ZeroDivisionError: division by zero; --traceback shows where\n"
