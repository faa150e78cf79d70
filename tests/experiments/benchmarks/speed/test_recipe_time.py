"""Times of recipes: a row a recipe, kept, and recipes that a network has no units for left out."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.benchmarks.speed import recipe_time


def test_rows_are_kept(
    models: Path, lines: Path, tmp_path: Path, no_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    given: dict[str, Any] = {
        "model": str(models / "bert"), "task": "text", "data": str(lines), "budget": 0.5, "length": 16, "sentences": 8,
        "batch_size": 4, "out": tmp_path / "times.csv",
    }  # fmt: skip
    recipe_time.main(["uniform", "reap"], **given)
    assert "reap is left out: " in capsys.readouterr().err
    (row,) = read_rows(tmp_path / "times_cells.jsonl")
    assert (row["recipe"], row["task"], row["budget"]) == ("uniform", "text", 0.5)
    assert row["passes"] == row["run_s"] / row["pass_s"] > 0
    assert row["whole_s"] > row["run_s"]
    recipe_time.main(["uniform"], **given)
    assert read_rows(tmp_path / "times_cells.jsonl") == [row]
    assert pd.read_csv(tmp_path / "times.csv")["recipe"].tolist() == ["uniform"]
    with pytest.raises(SystemExit):
        recipe_time.main(["uniformm"], **given)
