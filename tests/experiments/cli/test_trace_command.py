"""`walras trace` with pictures, and of two runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.image import imread

Walras = Callable[..., Any]


@pytest.fixture(scope="module")
def made() -> list[Path]:
    """Where two runs are that were made for an earlier test of this file; nothing at first."""
    return []


@pytest.fixture
def two(walras: Walras, models: Path, made: list[Path]) -> list[str]:
    """Two runs, whose own pictures nobody looks at; made once, and copied."""
    if made:
        for name in ("a", "b"):
            shutil.copytree(made[0] / name, name)
        return ["a", "b"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("walras.experiments.reports.plots.png", lambda figure: b"picture")
        patched.setattr(
            "walras.experiments.reports.plots.svg",
            lambda figure, name, alt: '<svg role="img" aria-label="x" viewBox="0 0 1 1"></svg>',
        )
        names, kept = two_runs(walras, models), Path.cwd().parent / "kept"
    for name in names:
        shutil.copytree(name, kept / name)
    made.append(kept)
    return names


def two_runs(walras: Walras, models: Path) -> list[str]:
    for name, valuation in (("a", "magnitude"), ("b", "random")):
        answer = walras(
            "run", "--model", models / "bert", "--sentences", 16, "--rounds", 2, "--valuation", valuation,
            "--block", 32, "--out", name, "--recipe", "none", "--strategy", "truthful=0.5,shading=0.5",
        )  # fmt: skip
        assert answer.code == 0, answer.error
    return ["a", "b"]


@pytest.mark.nightly
def test_two_runs_are_compared_and_drawn(walras: Walras, two: list[str]) -> None:
    answer = walras("trace", *two, "--pictures", "p")
    assert answer.code == 0, answer.error
    assert "What became of each strategy" in answer.out
    assert "a and b: " in answer.out
    for name in ("survival", "allocation", "bids", "lorenz", "prices", "compared-b"):
        assert imread(Path("p") / f"{name}.png").std() > 0
    found = json.loads(walras("trace", *two, "--json").out)
    assert {row["funded"] for row in found["compared"]} <= {"both", "first only", "second only", "neither"}
    assert len(found["compared"]) == 12
    assert {row["strategy"] for row in found["strategies"]} == {"truthful", "shading"}
    assert [row["round"] for row in found["survival"]] == [1, 1, 2, 2]


@pytest.mark.nightly
def test_more_than_two_runs_and_one_twice(walras: Walras, two: list[str]) -> None:
    answer = walras("trace", *two, "a", "--pictures", "p", "--json")
    assert answer.code == 0, answer.error
    found = json.loads(answer.out)
    assert [row["run"] for row in found["compared"]] == ["b"] * 12 + ["a-3"] * 12
    assert {row["funded"] for row in found["compared"][12:]} <= {"both", "neither"}  # the run itself
    assert {path.stem for path in Path("p").glob("compared-*")} == {"compared-b", "compared-a-3"}
    assert 0 <= found["gini"]["compute"] <= 1


def test_a_trace_is_that_of_its_result(walras: Walras, two: list[str], tmp_path: Path) -> None:
    """Parts that are gone or of another run tell other winners; a run that has not finished says so."""
    del two
    part = Path("a/trace/part-00002.parquet")
    content = part.read_bytes()
    part.write_bytes(Path("b/trace/part-00002.parquet").read_bytes())
    assert "a/trace' was changed after the run" in walras("trace", "a").error
    part.unlink()
    assert "a/trace' was changed after the run" in walras("trace", "a").error
    part.write_bytes(content)
    result = Path("a/result.json").read_text(encoding="utf-8")
    Path("a/result.json").write_text(result[: len(result) // 2], encoding="utf-8")
    assert "cannot read result" in walras("trace", "a").error
    Path("a/result.json").unlink()
    assert "a has not finished: these are the rounds so far" in walras("trace", "a").out


def test_rows_are_chosen_and_written_and_runs_drawn_together(walras: Walras, two: list[str]) -> None:
    chosen = "layer == 1 and kind == 'head'"
    answer = walras(
        "trace", *two, "--where", chosen, "--csv", "heads.csv", "--svg", "both.svg", "--graphml", "g.graphml"
    )
    assert answer.code == 0, answer.error
    assert "8 of 24 rows" in answer.out
    assert "By round; their units of value differ or are unknown" in answer.out
    assert "Units that only one of them keeps" in answer.out
    assert "heads.csv   g.graphml   both.svg" in answer.out
    assert len(Path("heads.csv").read_text(encoding="utf-8").splitlines()) == 9
    assert {path.name for path in Path().iterdir()} >= {"heads.csv", "both.svg", "g.graphml"}
    assert "heads.csv' is there already" in walras("trace", "a", "--csv", "heads.csv").error
    found = json.loads(walras("trace", *two, "--where", chosen, "--json", "--csv", "heads.csv", "--overwrite").out)
    assert {row["layer"] for row in found["rows"]} == {row["layer"] for row in found["compared"]} == {1}
    (pair,) = found["differences"]
    assert pair["run"] == "b"
    assert set(pair["first_only"]) | set(pair["second_only"]) <= {f"L1.H{i}" for i in range(4)}
    assert [row["round"] for row in pair["rounds"]] == [1, 2]
    assert "'layer.values' reads an attribute" in walras("trace", "a", "--where", "layer.values == 1").error
    assert "holds of no row of a" in walras("trace", "a", "--where", "layer == 7").error


def test_trades_are_kept_printed_and_drawn(walras: Walras, models: Path, two: list[str], no_pictures: None) -> None:
    """Phase `trade` leaves its meetings; another run has none, and its folder opens as one of an earlier version."""
    answer = walras(
        "run", "--model", models / "bert", "--sentences", 16, "--batch-size", 4, "--block", 8, "--budget", 0.6,
        "--recipe", "none", "--repair", "least_squares", "--rounds", 1, "--phases",
        "trade:rounds=1,tokens=32,step=0.01", "--out", "traded",
    )  # fmt: skip
    assert answer.code == 0, answer.error
    trades = pd.read_parquet("traded/trades.parquet")
    assert trades["agreed"].any()
    assert set(trades["seller"]) <= {f"L{layer}.{part}" for layer in range(2) for part in ("heads", "ffn")}
    assert "trades.parquet" in json.loads(Path("traded/result.json").read_text(encoding="utf-8"))["files"]
    assert Path("traded/trades.png").is_file()
    assert "came to an agreement" in Path("traded/report.html").read_text(encoding="utf-8")
    answer = walras("trace", "traded", "--pictures", "p")
    assert answer.code == 0, answer.error
    assert "Trades: meetings of two sub-layers" in answer.out
    assert Path("p/trades.png").is_file()
    told = json.loads(walras("trace", "traded", "--json").out)["trades"]
    assert [row["agreed"] for row in told] == trades["agreed"].tolist()
    assert {row["fresh_fall"] is None for row in told} == set(trades["fresh_fall"].isna())

    kept = Path("traded/trades.parquet").read_bytes()
    Path("traded/trades.parquet").write_bytes(kept[:-40])
    assert "trades.parquet' was changed after the run" in walras("trace", "traded").error
    Path("traded/trades.parquet").unlink()
    assert "'traded/trades.parquet'" in walras("trace", "traded").error

    plain = Path(two[0])
    assert not {"trades.parquet", "trades.png"} & {path.name for path in plain.iterdir()}
    answer = walras("trace", plain)
    assert (answer.code, "Trades" in answer.out) == (0, False)
    assert json.loads(walras("trace", plain, "--json").out)["trades"] == []
    (plain / "trades.parquet").write_bytes(kept)
    assert "'a/trades.parquet' was not written by the run" in walras("trace", plain).error
