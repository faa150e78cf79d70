"""Designs and searches of real runs, from the command line and from Python."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import walras as package
from walras.errors import InputError, UnknownNameError
from walras.experiments.designs.of_runs import MOST_CELLS, designed_runs

Walras = Callable[..., Any]


@pytest.fixture
def settings(models: Path, lines: Path, no_pictures: None) -> dict[str, Any]:
    """A run of about a second."""
    return {
        "model": str(models / "bert"), "task": "text", "data": str(lines), "length": 16, "sentences": 8, "block": 16,
        "recipe": "magnitude",
    }  # fmt: skip


def options(settings: dict[str, Any]) -> list[object]:
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


def test_a_design_of_runs(walras: Walras, settings: dict[str, Any], no_pictures: None) -> None:
    """Ranges, a parameter of a strategy, and names; in all executors alike, and nothing twice."""
    line = (
        "compare", *options(settings), "--design", "sobol:n=4", "--vary", "budget=0.4..0.9", "--vary", "rounds=1..2",
        "--strategy", "shading", "--vary", "strategy.factor=0.5..1", "--vary",
        "mechanism=ShadowPrice,UniformPriceAuction", "--out", "o",
    )  # fmt: skip
    first = walras(*line, "--workers", 0, "--json")
    assert first.code == 0, first.err
    table = pd.read_csv("o/frontier.csv")
    assert table.columns[1:6].tolist() == ["rounds", "strategy.factor", "mechanism", "budget", "seed"]
    assert len(table) == 4
    assert table["strategy.factor"].between(0.5, 1).all()
    assert table["budget"].between(0.4, 0.9).all()
    assert set(table["rounds"]) == {1, 2}
    kept = {p.name: p.stat().st_mtime_ns for p in Path("o/cells").glob("*/result.json")}
    for cell in Path("o/cells").iterdir():
        assert "strategy: shading:factor=0." in (cell / "config.yaml").read_text()
    again = walras(*line, "--workers", 0)
    assert again.code == 0, again.err
    assert {p.name: p.stat().st_mtime_ns for p in Path("o/cells").glob("*/result.json")} == kept
    assert "4 base points are few for design sobol" in again.out
    told = json.loads(first.out)["sensitivity"]
    assert {index["output"] for index in told["indices"]} >= {"quality", "welfare"}
    assert "rank correlation" in again.out
    assert {"indices.csv", "indices.json", "indices.png", "report.html"} <= {p.name for p in Path("o").iterdir()}


@pytest.mark.nightly
def test_a_design_in_processes_is_that_of_one(walras: Walras, settings: dict[str, Any]) -> None:
    line = ("compare", *options(settings), "--design", "latin:n=4", "--vary", "budget=0.4..0.9")
    for name, workers in (("one", 0), ("two", 2)):
        assert walras(*line, "--out", name, "--workers", workers).code == 0
    assert Path("one/frontier.parquet").read_bytes() == Path("two/frontier.parquet").read_bytes()


@pytest.mark.nightly  # six runs
def test_sobol_indices_from_python(settings: dict[str, Any]) -> None:
    found = package.sensitivity({"budget": (0.3, 0.9)}, design="saltelli:n=2", **settings)
    assert found.blocks == 2
    assert set(found.frame["measure"]) == {"S1", "ST"}
    assert found.frame["setting"].unique().tolist() == ["budget"]
    assert any(note.startswith("2 base points are few") for note in found.notes)
    with pytest.raises(InputError, match="draws no points"):
        package.sensitivity({"budget": [0.3, 0.9]}, design="grid", **settings)


def test_ranges_in_a_full_grid(settings: dict[str, Any]) -> None:
    grid = designed_runs("grid:n=3", {"budget": ["0.3..0.9"], "rounds": ["1..2"]}, None, settings)
    assert grid.axes == {"rounds": (1, 2), "budget": (0.9, 0.6, 0.3)}
    assert len(grid.seeds) == 5
    plain = designed_runs(None, {"budget": (0.3, 0.9)}, 1, settings)  # a tuple is two values without a design
    assert plain.axes == {"budget": (0.9, 0.3)}


@pytest.mark.parametrize(
    ("vary", "types"),
    [
        ({"strategy.share": "0..1", "strategy": ["truthful=0.8,shading=0.2"]}, float),
        ({"strategy.truthful": "0..1", "strategy": ["truthful=0.8,shading=0.2"]}, float),
        ({"budget.latency": "0.4..0.8"}, float),
        ({"mechanism.price": "1e-4..1:log", "mechanism": ["PostedPrice"]}, float),
        ({"market.rounds": "1..4"}, int),
    ],
)  # fmt: skip
def test_settings_that_can_be_varied(settings: dict[str, Any], vary: dict[str, Any], types: type) -> None:
    grid = designed_runs("halton:n=3", vary, None, {**settings, "recipe": "none"})
    (axis,) = (name for name in grid.axes if name in (*vary, "rounds") and name not in ("strategy", "mechanism"))
    assert {type(cell[axis]) for cell in grid.cells} == {types}
    assert len({cell.key for cell in grid.cells}) == len({cell[axis] for cell in grid.cells})
    if axis == "strategy.share":
        texts = {cell.settings.market.strategy for cell in grid.cells}
        assert all(text.startswith("truthful=") and "+shading=" in text for text in texts)


@pytest.mark.parametrize(
    ("design", "vary", "more", "message"),
    [
        ("sobol", {"mechanism": "1..2"}, {}, "mechanism is no number, so that it has no range"),
        ("sobol", {"label_free": "0..1"}, {}, "label_free is no number"),
        ("sobol", {"rounds": "1.5..3"}, {}, "no whole number"),
        ("sobol", {"phases.x": "0..1"}, {}, "phases has no parameters that could vary"),
        ("sobol", {"rounds.x": "0..1"}, {}, "rounds has no parameters that could vary"),
        (None, {"budget": "0.3..0.9"}, {}, "--design grid:n=5"),
        ("sobol", {"budget": [0.5]}, {}, "nothing varies in design sobol"),
        ("sobol", {"seed": "0..4"}, {}, "seed is no axis"),
        ("sobol", {"rounds": "1..4"}, {"rounds": 2}, "rounds is 2 for all cells"),
        ("sobol", {"rounds": "1..4", "market.rounds": "1..4"}, {}, "axis rounds is given twice"),
        ("saltelli:n=1024", {"budget": "0.3..0.9"}, {}, r"has 3,072 cells; valid: 2,000, .*--most-cells 3072"),
        ("grid:n=3000", {"budget": "0.3..0.9"}, {}, r"has 15,000 cells"),
        ("sobol:n=3", {"budget": "0.3..0.9"}, {}, "nearest are 2 and 4"),
        ("sobol", {"strategy.share": "0..1"}, {}, r"truthful has no share; shares are .* --strategy truthful=0.8,shad"),
        ("sobol", {"strategy.shading": "0..1"}, {"strategy": "shading"}, "strategy shading has no shading; shares are"),
        ("sobol", {"strategy.factor": "0..1"}, {"strategy": "truthful"}, "unknown parameter .*'factor'. There is none"),
        ("sobol", {"strategy.shading": "0..1"}, {"strategy": "shading=1"}, "is the only one; a share varies where"),
    ],
)  # fmt: skip
def test_bad_input(
    settings: dict[str, Any], design: str | None, vary: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        designed_runs(design, vary, None, {**settings, "recipe": "none", **more})


def test_names_that_are_unknown(settings: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="unknown axis 'bugdet'"):
        designed_runs("sobol", {"bugdet": "0.3..0.9"}, None, settings)
    with pytest.raises(UnknownNameError, match=r"unknown parameter of strategy shading 'fctor'.*Did you mean 'factor'"):
        designed_runs("sobol", {"strategy.fctor": "0..1"}, None, {**settings, "strategy": "shading"})
    with pytest.raises(UnknownNameError, match="part of the mixture"):
        designed_runs("sobol", {"strategy.hedge": "0..1"}, None, {**settings, "strategy": "truthful=0.8,shading=0.2"})
    with pytest.raises(InputError, match="no value is compared with another"):
        designed_runs("sobol:n=4", {"budget": "0.3..0.9"}, None, settings, against="budget=0.5")
    assert MOST_CELLS == 2000  # as the help of the command says


@pytest.mark.nightly
def test_a_budget_that_is_sought(walras: Walras, settings: dict[str, Any]) -> None:
    line = ("calibrate", *options(settings), "--vary", "budget=0.3..0.9", "--tolerance", 0.3, "--out", "o")
    found = walras(*line, "--target", "used<=0.6", "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert told["status"] == "found"
    assert told["figure"]["mean"] <= 0.6
    assert told["value"] == pytest.approx(0.6, abs=0.3)
    assert (Path("o/report.html").is_file(), told["kept"]) == (True, 0)
    again = walras(*line, "--target", "used<=0.6")
    assert f"{told['cells']} runs, of which {told['cells']} were there already" in again.out
    cut = walras(*line, "--target", "quality>=2*dense", "--runs", 3)  # the agreement of a network is at most dense
    assert (cut.code, "was not found to the tolerance in 3 values" in cut.out) == (1, True)
    other = package.calibrate({"budget": (0.3, 0.9)}, "used<=0.6", tolerance=0.3, out="o", **settings)
    assert (other.value, other.kept) == (told["value"], told["cells"])
    assert "one setting and its range" in walras(*line[:-6], "--vary", "rounds=1,2", "--target", "used<=0.5").error
    assert "is none; write quality" in walras(*line, "--target", "cheap").error
