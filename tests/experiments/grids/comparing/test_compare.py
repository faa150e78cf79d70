"""`walras compare`: what it leaves, what it runs again, and what failures and interruptions do to it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from kept_files import written
from report_pages import check_page

from walras.experiments.executors import Outcome
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.statistics import Statistics
from walras.experiments.reports import plots
from walras.experiments.store.run_folder import read_result

Walras = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[str]"]
DRAW, DRAW_INSIDE = plots.png, plots.svg


def test_a_row_per_cell(compare: Walras) -> None:
    answer = compare("--json")
    assert (answer.code, answer.err) == (0, "")
    out = Path("o")
    assert {p.name for p in out.iterdir()} == {
        "compare.yaml", "cells", "frontier.parquet", "frontier.csv", "statistics.csv", "timings.csv", "frontier.png",
        "report.html",
    }  # fmt: skip
    table = pd.read_parquet(out / "frontier.parquet")
    assert pq.read_schema(out / "frontier.parquet").names == [
        "recipe", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense",
        "used", "price", "welfare", "revenue", "status",
    ]  # fmt: skip
    cells = [(r, b, s) for r in ("random", "magnitude") for b in (0.75, 0.5) for s in range(2)]
    assert [tuple(row) for row in table[["recipe", "budget", "seed"]].to_numpy()] == cells
    assert table["latency_ms"].isna().all()

    listed = yaml.safe_load((out / "compare.yaml").read_text())
    assert [(c["recipe"], c["budget"], c["seed"]) for c in listed["cells"]] == cells
    assert {p.name for p in (out / "cells").iterdir()} == {c["cell"] for c in listed["cells"]}
    for cell, row in zip(listed["cells"], table.itertuples(), strict=True):
        found = read_result(out / "cells" / cell["cell"])
        assert (found["recipe"], found["seed"], found["budget"]) == (cell["recipe"], cell["seed"], cell["budget"])
        assert (found["macs"], found["parameters"]) == (row.macs, row.parameters)
        assert (found["metric"]["value"], found["metric"]["dense"]) == (row.value, row.dense)
        assert found["parameters"] < found["dense_parameters"]
    assert table.groupby(["recipe", "budget"])["value"].nunique()["random", 0.5] == 2  # another seed, other units
    pids = Path("dense-metrics").read_text().split()
    assert pids == [str(os.getpid())]  # eight cells, one loaded network and one dense metric

    told = json.loads(answer.out)
    statistics = Statistics.from_table(table, Reference("recipe", "magnitude"))
    assert told["rows"] == [{**row, "latency_ms": None} for row in table.to_dict("records")]
    assert told["statistics"] == [row.row() for row in statistics.rows]
    assert (told["against"], told["comparisons"], told["failed"]) == ("magnitude", 3, [])
    csv = pd.read_csv(out / "frontier.csv")
    assert csv["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), rel=1e-7)
    assert len(pd.read_csv(out / "statistics.csv")) == 2 * 3
    report = (out / "report.html").read_text()
    assert statistics.caution() in report
    apart = statistics.at("random", 0.75).difference
    assert apart is not None
    assert f"<td>+{apart.mean:.4f}</td>" in report  # two seeds have no interval there


@pytest.mark.nightly
def test_finished_cells_are_left_alone(compare: Walras) -> None:
    first = compare()
    assert first.code == 0, first.err
    before, table = written(Path("o/cells")), Path("o/frontier.parquet").read_bytes()
    assert compare().out == first.out
    assert written(Path("o/cells")) == before
    assert Path("o/frontier.parquet").read_bytes() == table

    unfinished, changed, *_ = sorted(Path("o/cells").iterdir())
    (unfinished / "result.json").unlink()
    (changed / "config.yaml").write_text((changed / "config.yaml").read_text().replace("block: 32", "block: 16"))
    assert compare().out == first.out
    after = written(Path("o/cells"))
    assert {name.split("/")[0] for name in after if after[name] != before.get(name)} == {unfinished.name, changed.name}
    assert Path("o/frontier.parquet").read_bytes() == table


@pytest.mark.nightly
def test_more_cells_are_added_to_those_that_are_there(compare: Walras) -> None:
    assert compare("--seeds", 1).code == 0
    before = written(Path("o/cells"))
    answer = compare("--seeds", 2, "--recipe", "michel", "--against", "random", "--json")
    assert answer.code == 0
    assert len(json.loads(answer.out)["rows"]) == 3 * 2 * 2
    assert json.loads(answer.out)["against"] == "random"
    after = written(Path("o/cells"))
    assert before.items() <= after.items()


@pytest.mark.nightly
def test_one_seed_has_no_intervals(compare: Walras) -> None:
    answer = compare("--seeds", 1)
    assert answer.code == 0, answer.err
    assert "One seed per cell: no intervals" in answer.out
    assert "±" not in answer.out


@pytest.mark.nightly
def test_a_cell_that_fails_is_told_and_the_rest_goes_on(compare: Walras) -> None:
    Path("fail-1").touch()
    answer = compare()
    assert answer.code == 1
    assert "[2/8] random at 0.75, seed 1: failed, OSError: seed 1 met an accident" in answer.err.splitlines()
    assert "Failed: random at 0.75, seed 1: OSError: seed 1 met an accident" in answer.out
    assert "4 of 8 cells failed: o/failed" in answer.out
    table = pd.read_parquet("o/frontier.parquet")
    assert set(table["seed"]) == {0}
    traces = sorted(Path("o/failed").iterdir())
    assert len(traces) == 4
    for trace in traces:
        told = trace.read_text()
        assert "Traceback" in told
        assert told.endswith("OSError: seed 1 met an accident\n")
        assert not (Path("o/cells") / trace.stem).exists()
    assert f"failed/{traces[0].name}" in Path("o/report.html").read_text()

    Path("fail-1").unlink()
    answer = compare("--json")
    assert (answer.code, json.loads(answer.out)["failed"]) == (0, [])
    assert not Path("o/failed").exists()
    assert len(pd.read_parquet("o/frontier.parquet")) == 8


@pytest.mark.nightly
def test_nothing_but_failures(compare: Walras) -> None:
    for seed in range(2):
        Path(f"fail-{seed}").touch()
    answer = compare()
    assert answer.code == 1
    assert "8 of 8 cells failed" in answer.out
    assert "magnitude has no finished cell" in answer.out
    assert len(pd.read_parquet("o/frontier.parquet")) == 0
    assert not Path("o/report.html").exists()
    assert json.loads(compare("--json").out)["statistics"] == []


@pytest.mark.nightly
def test_latency_is_measured_once_and_kept_apart(compare: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walras.experiments.grids.timings.REPEATS", 1)
    assert compare("--seeds", 1).code == 0
    plain = Path("o/frontier.parquet").read_bytes()
    assert compare("--seeds", 1, "--measure-latency").code == 0
    timed = Path("o/frontier.parquet").read_bytes()
    table = pd.read_parquet("o/frontier.parquet")
    assert (table["latency_ms"] > 0).all()
    timings = pd.read_csv("o/timings.csv")
    assert timings["latency_ms"].to_numpy() == pytest.approx(table["latency_ms"].to_numpy(), rel=1e-5)
    assert set(timings["batch"]) == {32}
    monkeypatch.setattr("walras.experiments.grids.timings.interleaved", lambda *_: pytest.fail("measured again"))
    assert compare("--seeds", 1, "--measure-latency").code == 0
    assert Path("o/frontier.parquet").read_bytes() == timed
    assert compare("--seeds", 1).code == 0
    assert Path("o/frontier.parquet").read_bytes() == plain


@pytest.mark.nightly
def test_ctrl_c(compare: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def outcomes(executor: Any, job: Any, items: Sequence[Cell[Any]]) -> Generator[Outcome[Cell[Any]], None, None]:
        try:
            job(items[0])
            yield Outcome(items[0])
            raise KeyboardInterrupt
        finally:
            ended.append(True)

    with monkeypatch.context() as patched:
        patched.setattr("walras.experiments.grids.runner.outcomes", outcomes)
        answer = compare()
    assert (answer.code, answer.out, ended) == (130, "", [True])
    assert answer.err.endswith("Interrupted; 1 of 8 cells are finished; the same command goes on from there\n")
    before = written(Path("o/cells"))
    assert len({name.split("/")[0] for name in before}) == 1
    assert compare().code == 0
    assert before.items() <= written(Path("o/cells")).items()


@pytest.mark.nightly
def test_killed_in_the_middle_and_started_again_gives_the_same_bytes(
    compare: Walras, spawn: Spawn, options: tuple[object, ...], tmp_path: Path, patience: float
) -> None:
    """Killed with one cell finished, one half done, and others not begun."""
    assert compare().code == 0
    whole = Path("o/frontier.parquet").read_bytes()
    out = tmp_path / "o"  # where `spawn` works
    (tmp_path / "block-1").touch()
    sweep = spawn("compare", "--recipe", "magnitude", "--budget", 0.5, *options, "--workers", 1)
    try:
        until = time.monotonic() + patience
        while len(list(out.glob("cells/*/trace/part-00001.parquet"))) < 2:
            assert sweep.poll() is None
            assert time.monotonic() < until, sorted(out.rglob("*"))
            time.sleep(0.02)
    finally:
        sweep.send_signal(signal.SIGKILL)
        sweep.communicate(timeout=patience)  # workers hold the other end: they have ended as well
    keys = [cell["cell"] for cell in yaml.safe_load((out / "compare.yaml").read_text())["cells"]]
    assert [p.parent.name for p in out.glob("cells/*/result.json")] == [keys[0]]
    assert (out / "cells" / keys[1] / "config.yaml").is_file()
    assert not (out / "frontier.parquet").exists()

    (tmp_path / "block-1").unlink()
    before = written(out / "cells" / keys[0])
    os.chdir(tmp_path)
    assert compare().code == 0
    assert (out / "frontier.parquet").read_bytes() == whole
    assert written(out / "cells" / keys[0]) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ("--recipe", "walrus"),
            "unknown recipe 'walrus'. Did you mean 'walras'? Known: evopress, flap, k-prune, kwon",
        ),
        (("--recipe", "random"), "recipe random is given twice; each counts once"),
        (("--budget", 0.5), "budget 0.5 is given twice; each counts once"),
        (("--budget", 0), "budget is 0.0; it must be a share of the dense model's compute, above 0 and at most 1"),
        (("--recipe", "michel", "--budget", "nan"), "budget is nan; it must be a share"),
        (("--budget", "inf"), "budget is inf; it must be a share"),
        (("--seeds", 0), "seeds is 0; it must be a whole number of at least 1"),
        (("--workers", -1), "workers is -1; it must be a whole number of at least 1"),
        (("--against", "kwon"), "unknown recipe to compare against 'kwon'. Known: magnitude, random."),
        (("--task", "txet"), "unknown task 'txet'. Did you mean 'text'?"),
        (("--data", "none.txt"), "cannot read data file 'none.txt'"),
        (("--model", "tiny/none"), "cannot load model 'tiny/none'"),
        (("--device", "abacus"), "device 'abacus' cannot be used"),
        (("--length", 3), "length is 3; it must be a whole number of at least 4"),
        (("--config", "none.yaml"), "cannot read config file 'none.yaml'"),
    ],
)
def test_bad_input(compare: Walras, more: tuple[object, ...], message: str) -> None:
    assert message in compare(*more).error
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("setting", ["recipe: kwon", "budget: 0.3", "seed: 3"])
def test_settings_in_which_cells_differ_are_options(compare: Walras, tmp_path: Path, setting: str) -> None:
    (tmp_path / "s.yaml").write_text(setting)
    name = setting.partition(":")[0]
    option = "--seeds" if name == "seed" else f"--{name}"
    assert compare("--config", tmp_path / "s.yaml").error.endswith(
        f"among the settings for all cells; give it as {option}"
    )


@pytest.mark.nightly
def test_other_settings_may_come_from_a_file(compare: Walras, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("block: 16\nreentry: true\n")
    assert compare("--config", tmp_path / "s.yaml", "--seeds", 1, "--block", 64).code == 0
    settings = [yaml.safe_load(p.read_text()) for p in Path("o/cells").glob("*/config.yaml")]
    assert [(s["market"]["block"], s["market"]["reentry"]) for s in settings] == [(64, True)] * 4


def test_folders_of_other_things_are_left_alone(compare: Walras) -> None:
    Path("o").mkdir()
    (Path("o") / "notes.txt").write_text("mine")
    assert compare().error == "--out 'o' holds 'notes.txt', which is no part of a comparison; choose another folder"
    assert [p.name for p in Path("o").iterdir()] == ["notes.txt"]
    assert compare("--out", "o/notes.txt").error == "--out 'o/notes.txt' is a file; it must be a folder"


@pytest.mark.nightly
def test_the_report_comes_before_the_timings(compare: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: Any) -> None:
        assert (Path("o/report.html")).is_file()
        assert pd.read_parquet("o/frontier.parquet")["latency_ms"].isna().all()
        raise KeyboardInterrupt

    monkeypatch.setattr("walras.experiments.grids.compare.measure", measure)
    assert compare("--seeds", 1, "--measure-latency").code == 130


@pytest.mark.nightly
def test_picture_and_report(compare: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the picture drawn, and shown in the report."""
    assert compare("--recipe", "michel").code == 0
    monkeypatch.setattr(plots, "png", DRAW)
    monkeypatch.setattr(plots, "svg", DRAW_INSIDE)
    answer = compare("--recipe", "michel")
    assert answer.code == 0, answer.err
    picture, report = Path("o/frontier.png").read_bytes(), Path("o/report.html").read_text()
    check_page(report, Path("o"))
    assert report.count("<svg") == 1
    assert picture.startswith(b"\x89PNG")
    for text in ("random", "magnitude", "michel", "mean of all", "All 12 cells"):
        assert text in report
    for text in ("0.75", "magnitude", "minus michel", "6 comparisons with michel", "o/report.html"):
        assert text in answer.out
