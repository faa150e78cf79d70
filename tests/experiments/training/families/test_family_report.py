"""Reports of families: fronts of what was measured, and claims beside them, never among them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from walras.experiments.grids.cell import Cell
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.families.report import FILES, Family, write_families, write_family
from walras.experiments.training.families.run import Families

USED = {"tax 0.1": (0.8, 0.88), "tax 0.2": (0.5, 0.85)}


def point(cell: Cell[TrainConfig]) -> tuple[float, float]:
    """Taxes at 0.8 and 0.5 of the compute; a recipe at its budget, with 0.05 less a fifth of it."""
    used, value = USED.get(cell["recipe"], (cell["budget"], 0.7 + 0.2 * cell["budget"]))
    return used, value + 0.001 * cell.seed


@pytest.fixture
def families(glue: Path) -> Families:
    """On STS-B, of which something is claimed, and SST-2, of which nothing is."""
    vary: dict[str, list[Any]] = {"price": [0.1, 0.2], "recipe": ["magnitude"]}
    return Families.of_tasks({"data": str(glue), "pricing": "tax"}, vary, 3, ["stsb", "sst2"])


@pytest.fixture
def written(families: Families, finish: Any, tmp_path: Path) -> dict[str, Family]:
    found = {task: finish(grid, tmp_path / "out" / task, point) for task, grid in families.grids.items()}
    for own in found.values():
        write_family(own)
    write_families(found, tmp_path / "out")
    return {task: Family(own) for task, own in found.items()}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_points_are_of_the_claimed_figure(written: dict[str, Family]) -> None:
    """Pearson's r of STS-B, 0.01 above Spearman's here; means over three seeds."""
    family = written["stsb"]
    assert family.metric == "pearson"
    points = family.points.set_index(["recipe", "budget"])
    first = points.to_dict("records")[0]
    assert first["mean"] == pytest.approx(0.88 + 0.01 + 0.001)
    assert first["low"] < first["mean"] < first["high"]
    assert points["series"].unique().tolist() == ["tax", "magnitude"]
    assert points[points["on the front"]].index.tolist() == [("tax 0.1", 1.0), ("tax 0.2", 1.0), ("magnitude", 0.4)]
    assert written["sst2"].metric == "accuracy"
    assert "stsb: 3 of 5 points are on the Pareto front of pearson and compute (tax, magnitude)" in family.verdict


def test_prices_beside_recipes_at_equal_compute(written: dict[str, Family]) -> None:
    """The recipe has 0.7 + 0.2 x at x: 0.86 at 0.8, and 0.8 at 0.5, on the line between its budgets."""
    apart = written["sst2"].apart
    assert apart["recipe"].tolist() == ["tax 0.1", "tax 0.2"]
    assert apart["difference"].tolist() == pytest.approx([0.02, 0.05])
    assert apart["pairs"].tolist() == [3, 3]


def test_claims_are_hollow_labelled_and_in_a_table_of_their_own(written: dict[str, Family], tmp_path: Path) -> None:
    figure = written["stsb"].picture().figure
    assert "claimed in arXiv 2508.10426" in texts(figure)
    (claimed,) = [line for line in figure.axes[0].lines if "claimed" in str(line.get_label())]
    assert (claimed.get_fillstyle(), claimed.get_linestyle()) == ("none", "None")
    assert np.asarray(claimed.get_ydata()).tolist() == [0.901, 0.899, 0.891, 0.875, 0.840]
    assert not any("claimed" in text for text in texts(written["sst2"].picture().figure))
    for measured in ("stsb/frontier.csv", "stsb/pareto.csv", "frontier.csv"):
        table = pd.read_csv(tmp_path / "out" / measured)
        assert not any("claim" in str(name) for name in table)
        assert 0.875 not in table.select_dtypes("number").to_numpy().ravel().round(6).tolist()
    claims = pd.read_csv(tmp_path / "out" / "stsb" / "claims.csv")
    assert claims["claimed value"].tolist() == [0.901, 0.899, 0.891, 0.875, 0.840]
    assert not (tmp_path / "out" / "sst2" / "claims.csv").exists()


def test_files_and_pages(written: dict[str, Family], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert {name for name in FILES if (out / "stsb" / name).is_file()} == set(FILES)
    table = pd.read_csv(out / "frontier.csv")
    assert table.columns[0] == "task"
    assert table.groupby("task").size().to_dict() == {"stsb": 15, "sst2": 15}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Claimed in arXiv 2508.10426, Table 3; not measured here" in page
    assert "laimed in" not in (out / "sst2" / "report.html").read_text(encoding="utf-8")
    assert "sst2: all cells" in page
    for place in ("pareto-stsb.png", "pareto-sst2.png", "stsb/pareto.png", "stsb/report.html"):
        assert (out / place).is_file()
    assert "At equal compute, seed by seed" in (out / "stsb" / "report.html").read_text(encoding="utf-8")


def test_what_is_missing_is_told(families: Families, finish: Any, tmp_path: Path) -> None:
    found = {task: finish(grid, tmp_path / "out" / task, point) for task, grid in families.grids.items()}
    (found["sst2"].folder.place(families.grids["sst2"].cells[0]) / "result.json").unlink()
    (found["stsb"].folder.path / "cells").rename(tmp_path / "gone")
    from walras.experiments.grids.runner import conclude

    again = {task: conclude(grid, found[task].folder) for task, grid in families.grids.items()}
    for own in again.values():
        write_family(own)
    write_families(again, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 cells have not finished" in page
    assert "Pareto families on sst2<" in page
