"""Running a grid: what is left alone, what runs again, and what failures, interruptions and damage do to it."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from traceback import format_exc
from typing import Any

import pandas as pd
import pytest

from walras.errors import InputError
from walras.experiments.cli.screen import LineProgress, TerminalConsole
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import conclude, finished, reason, run_grid, unfinished
from walras.experiments.reports.grids.frontier_report import write_frontier_report
from walras.experiments.reports.grids.frontier_tables import print_grid
from walras.experiments.store.grid_folder import GridFolder

AXES: dict[str, list[Any]] = {"rule": ["a", "b"], "budget": [0.75, 0.5]}


def grid(toys: Any, seeds: int = 2, **axes: list[Any]) -> Grid[Any]:
    return Grid.from_axes(toys, {"gain": 1}, {**AXES, **axes}, seeds)


def lines() -> tuple[LineProgress, io.StringIO]:
    text = io.StringIO()
    return LineProgress(TerminalConsole(file=text, width=200)), text


def test_a_row_per_cell_and_a_line_per_step(toys: Any, here: Path, begun: Callable[[], list[str]]) -> None:
    progress, text = lines()
    found = run_grid(grid(toys), GridFolder("o"), "serial", progress)
    assert found.table.columns.tolist() == [
        "rule", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense"
    ]  # fmt: skip
    assert found.table["value"].tolist() == pytest.approx([1.75, 1.85, 1.5, 1.6] * 2)
    assert found.statistics is not None
    assert found.statistics.axes == ("rule", "budget")
    assert found.statistics.at("b", None).difference is not None
    pd.testing.assert_frame_equal(pd.read_parquet("o/frontier.parquet"), found.table, check_dtype=False)
    told = text.getvalue().splitlines()
    assert told[:2] == ["[0/8] Cells", "[1/8] a at 0.75, seed 0: sum 1.7500 in 0 s"]
    assert [line[:5] for line in told] == [f"[{i}/8]" for i in range(9)]
    assert len(begun()) == 8
    before = {name: Path(f"o/{name}").read_bytes() for name in ("frontier.parquet", "frontier.csv", "statistics.csv")}
    run_grid(grid(toys), GridFolder("o"), "serial")
    assert begun() == []
    assert all(Path(f"o/{name}").read_bytes() == content for name, content in before.items())
    run_grid(grid(toys, budget=[0.75, 0.5, 0.25]), GridFolder("o"), "serial")
    assert begun() == [f"{rule} at 0.25, seed {seed}" for rule in "ab" for seed in (0, 1)]


def test_cells_that_share_a_network_run_one_after_the_other(toys: Any, here: Path) -> None:
    made = Grid.from_axes(toys, {}, {"budget": [0.75, 0.5], "rule": ["a", "b"]}, 1)
    assert [cell["rule"] for cell in unfinished(made, GridFolder("o"))] == ["a", "a", "b", "b"]


@pytest.mark.spread
@pytest.mark.parametrize(
    "damage", ["", "{", "{}", '{"metric": 3}', "[]", "\0\0", '{"metric": {"name": "sum"}}', "1" * 5000]
)
def test_a_damaged_result_is_run_again_and_said(
    toys: Any, here: Path, begun: Callable[[], list[str]], damage: str
) -> None:
    folder, made = GridFolder("o"), grid(toys)
    run_grid(made, folder, "serial")
    begun()
    whole = Path("o/frontier.parquet").read_bytes()
    (folder.place(made.cells[3]) / "result.json").write_text(damage, encoding="utf-8")
    assert not finished(made, folder, made.cells[3])
    progress, text = lines()
    run_grid(made, folder, "serial", progress)
    assert begun() == [str(made.cells[3])]
    assert Path("o/frontier.parquet").read_bytes() == whole
    said, told = f"cells/{made.cells[3].key}/result.json is damaged", text.getvalue().splitlines()[0]
    assert told.startswith(said)
    assert told.endswith(": a at 0.5, seed 1 runs again")


def test_a_damaged_timing_is_said_and_counts_as_none(toys: Any, here: Path) -> None:
    folder, made = GridFolder("o"), grid(toys)
    run_grid(made, folder, "serial")
    folder.write_timing(made.cells[0], {"latency_ms": 2.0})
    folder.write(f"timings/{made.cells[1].key}.json", '{"latency_ms"')
    progress, text = lines()
    run_grid(made, folder, "serial", progress)
    assert f"timings/{made.cells[1].key}.json is damaged: a at 0.75, seed 1 is timed again" in text.getvalue()
    assert conclude(made, folder, timed=True).table["latency_ms"].count() == 1
    assert conclude(made, folder).table["latency_ms"].count() == 0


def test_a_cell_that_fails_is_told_and_the_rest_goes_on(toys: Any, here: Path) -> None:
    (here / "fail-1").touch()
    progress, text = lines()
    folder, made = GridFolder("o"), grid(toys)
    found = run_grid(made, folder, "serial", progress)
    assert [str(cell) for cell in found.failed] == [str(c) for c in made.cells if c.seed == 1]
    assert "[2/8] a at 0.75, seed 1: failed, OSError: seed 1 met an accident" in text.getvalue()
    assert "Traceback" in folder.failure(made.cells[1]).read_text(encoding="utf-8")
    assert found.table["seed"].unique().tolist() == [0]
    (here / "fail-1").unlink()
    assert run_grid(made, folder, "serial").failed == []
    assert not Path("o/failed").exists()


def test_nothing_but_failures(toys: Any, here: Path) -> None:
    (here / "fail-0").touch()
    found = run_grid(grid(toys, 1), GridFolder("o"), "serial")
    assert (found.statistics, len(found.table), len(found.failed)) == (None, 0, 4)
    assert pd.read_parquet("o/frontier.parquet").columns.tolist() == found.table.columns.tolist()


def test_an_interruption_leaves_tables_of_what_has_finished(
    toys: Any, here: Path, begun: Callable[[], list[str]]
) -> None:
    (here / "stop-1").touch()
    made = grid(toys)
    with pytest.raises(KeyboardInterrupt):
        run_grid(made, GridFolder("o"), "serial")
    assert pd.read_csv("o/frontier.csv")["seed"].tolist() == [0]
    (here / "stop-1").unlink()
    begun()
    run_grid(made, GridFolder("o"), "serial")
    assert len(begun()) == 7


def test_an_edited_file_is_run_anew_and_the_others_are_not(
    toys: Any, here: Path, begun: Callable[[], list[str]]
) -> None:
    (here / "rule.py").write_text("a = 1\n", encoding="utf-8")
    rules = ["a", "rule.py:A"]
    run_grid(grid(toys, rule=rules), GridFolder("o"), "serial")
    begun()
    (here / "rule.py").write_text("a = 2\n", encoding="utf-8")
    run_grid(grid(toys, rule=rules), GridFolder("o"), "serial")
    assert begun() == [f"rule.py:A at {budget}, seed {seed}" for budget in (0.75, 0.5) for seed in (0, 1)]
    moved = here / "elsewhere"
    moved.mkdir()
    (here / "rule.py").rename(moved / "rule.py")
    run_grid(grid(toys, rule=["a", "elsewhere/rule.py:A"]), GridFolder("o"), "serial")
    assert begun() == []


def test_cells_of_an_earlier_version_are_kept(toys: Any, here: Path, begun: Callable[[], list[str]]) -> None:
    """Their folders had other names, and their settings were written otherwise."""
    folder, made = GridFolder("o"), grid(toys)
    run_grid(made, folder, "serial")
    begun()
    whole = Path("o/frontier.csv").read_text(encoding="utf-8")
    for i, cell in enumerate(made.cells):
        place = folder.place(cell).rename(f"o/cells/before{i}")
        config = (place / "config.yaml").read_text(encoding="utf-8").splitlines()
        (place / "config.yaml").write_text("\n".join(sorted(config)) + "\n", encoding="utf-8")
    Path("o/cells/before0/config.yaml").write_text("rule: [", encoding="utf-8")
    progress, text = lines()
    run_grid(made, folder, "serial", progress)
    assert begun() == [str(made.cells[0])]
    assert "7 cell(s) of an earlier version are kept" in text.getvalue()
    assert Path("o/frontier.csv").read_text(encoding="utf-8") == whole


def test_one_value_is_said(toys: Any, here: Path) -> None:
    progress, text = lines()
    run_grid(grid(toys, rule=["a"]), GridFolder("o"), "serial", progress)
    assert text.getvalue().startswith("rule has one value, a: nothing is compared along it\n")


def test_statistics_along_several_axes_by_hand(toys: Any, here: Path) -> None:
    """Gain 3 instead of 1 adds 2 to every value, whatever the rule and the budget."""
    made = Grid.from_axes(toys, {}, {"gain": [1, 3], "rule": ["a", "b"], "budget": [0.75, 0.5]}, 2, "gain=1")
    found = run_grid(made, GridFolder("o"), "serial").statistics
    assert found is not None
    for rule in "ab":
        for budget in (0.75, 0.5, None):
            apart = found.at(3.0, rule, budget).difference
            assert apart is not None
            assert (apart.low, apart.mean, apart.high) == pytest.approx((2, 2, 2))
            assert found.at(1.0, rule, budget).difference is None
    assert pd.read_csv("o/statistics.csv").columns[:4].tolist() == ["gain", "rule", "budget", "seeds"]
    told = json.loads(pd.read_csv("o/statistics.csv").to_json(orient="records"))
    assert len(told) == 2 * 2 * 3


def test_the_report_of_several_axes(toys: Any, here: Path, no_pictures: None) -> None:
    (here / "fail-1").touch()
    found = run_grid(grid(toys), GridFolder("o"), "serial")
    write_frontier_report(found)
    report = Path("o/report.html").read_text(encoding="utf-8")
    for text in ("<h1>a, b on sums</h1>", "4 of 8 cells failed", f"failed/{found.failed[0].key}.txt",
                 "over all budgets", "minus a", "All 4 cells", ">rule</th>", ">seed</th>"):  # fmt: skip
        assert text in report, text
    console = TerminalConsole(file=io.StringIO(), width=200)
    print_grid(console, found)
    told = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    for text in ("minus a", "Failed: a at 0.75, seed 1: OSError: seed 1 met an accident", "o/report.html"):
        assert text in told


def test_names_of_the_users_are_printed_as_they_are(toys: Any, here: Path) -> None:
    found = run_grid(grid(toys, rule=["[/b]", "[red]x"]), GridFolder("o"), "serial")
    console = TerminalConsole(file=io.StringIO(), width=200)
    print_grid(console, found)
    assert "[/b]" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "[red]x" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


@pytest.mark.spread
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metric": {"name": "sum", "value": "abc"}}, "value of the metric is 'abc'"),
        ({"metric": {"name": "sum", "value": None}}, "value of the metric is None"),
        ({"metric": {"name": "sum", "value": math.nan}}, "value of the metric is nan"),
        ({"metric": {"value": 1.0}}, "there is no 'name'"),
        ({"metric": None}, "metric is None"),
        ({"seconds": None}, "seconds is None"),
        ({"task": 3}, "task is 3"),
        ({"length": "x"}, "length is 'x'"),
        ({"macs": "x"}, "macs is 'x'"),
        ({"parameters": {}}, "parameters is {}"),
        ({"used": [1]}, "used is [1]"),
    ],
)
def test_a_result_of_other_types_is_run_again_and_said(
    toys: Any, here: Path, begun: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, change: dict[str, Any],
    why: str,
) -> None:  # fmt: skip
    plain, names = type(toys).row, ("macs", "parameters", "used")

    def row(self: Any, cell: Any, result: dict[str, Any], timing: Any) -> dict[str, Any]:
        return {**plain(self, cell, result, timing), **{name: result[name] for name in names if name in result}}

    monkeypatch.setattr(type(toys), "row", row)
    folder, made = GridFolder("o"), grid(toys)
    run_grid(made, folder, "serial")
    begun()
    whole = Path("o/frontier.parquet").read_bytes()
    file = folder.place(made.cells[3]) / "result.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    progress, text = lines()
    run_grid(made, folder, "serial", progress)
    assert begun() == [str(made.cells[3])]
    said = f"cells/{made.cells[3].key}/result.json is damaged ({why}): a at 0.5, seed 1 runs again"
    assert text.getvalue().splitlines()[0] == said
    assert Path("o/frontier.parquet").read_bytes() == whole


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("boom\nsecond line"), "ValueError: boom second line"),
        (ValueError("boom\n  indented\n\nlast"), "ValueError: boom indented last"),
        (InputError("one line"), "InputError: one line"),
    ],
)
def test_the_whole_last_exception_is_told_on_one_line(error: Exception, told: str) -> None:
    def fail() -> None:
        try:
            raise OSError("the first")
        except OSError:
            raise error from None

    try:
        fail()
    except Exception:
        assert reason(f"a at 0.5\n\nrule: a\n\n{format_exc()}") == told
    assert reason("a at 0.5\n\nrule: a\n\nthe process died\n") == "the process died"


def test_cells_that_name_files_are_not_taken_from_an_earlier_version(
    toys: Any, here: Path, begun: Callable[[], list[str]]
) -> None:
    (here / "s.txt").write_text("1", encoding="utf-8")
    made = grid(toys, rule=["s.txt"])
    run_grid(made, GridFolder("o"), "serial")
    begun()
    (here / "s.txt").write_text("2", encoding="utf-8")
    run_grid(grid(toys, rule=["s.txt"]), GridFolder("o"), "serial")
    assert len(begun()) == len(made.cells)
