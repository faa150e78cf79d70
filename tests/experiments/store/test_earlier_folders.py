"""Folders that an earlier version wrote, kept in tests/data/earlier, are read as they are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import walras as face
from walras.experiments.store.run_folder import read_allocation, read_result, read_units
from walras.market import read_trace

Walras = Callable[..., Any]
EARLIER = Path(__file__).parents[2] / "data" / "earlier"


@pytest.fixture
def earlier(walras: Walras, models: Path, lines: Path) -> Path:
    """The folders, beside the models and the text that they name."""
    shutil.copytree(EARLIER, "earlier")
    shutil.copytree(models, "models")
    shutil.copy(lines, "lines.txt")
    return Path("earlier")


def test_a_run(earlier: Path, walras: Walras) -> None:
    run = earlier / "run"
    result = read_result(run)
    assert "files" not in result  # it knew no hashes
    assert result["metric"]["name"] == "agreement with dense"
    assert len(read_allocation(run)["gate"]) == result["units"] == 16
    assert read_units(run) == (16, ["head", "ffn"])
    assert read_trace(run)["round"].nunique() == result["rounds"] == 2
    assert len(json.loads(walras("trace", run, "--json").out)["rounds"]) == 2
    assert walras("export", run, "--out", "small").code == 0
    assert sum(p.numel() for p in face.load_model("small").parameters()) == result["parameters"]


@pytest.mark.nightly
def test_its_settings_give_the_same_run(earlier: Path, walras: Walras) -> None:
    run = earlier / "run"
    assert walras("run", "--config", run / "config.yaml", "--out", "again").code == 0
    assert read_result("again")["metric"] == pytest.approx(read_result(run)["metric"])


def test_a_training_run(earlier: Path) -> None:
    folder = earlier / "training"
    result = json.loads((folder / "result.json").read_text())
    model = face.load_model(folder / "model")
    assert sum(p.numel() for p in model.parameters()) == result["parameters"]
    assert model(torch.tensor([[2, 5, 3]])).logits.isfinite().all()


def test_a_comparison(earlier: Path, walras: Walras, no_pictures: None) -> None:
    folder = earlier / "comparison"
    before = {p: p.read_bytes() for p in sorted(folder.glob("cells/*/*")) if p.is_file()}
    line = (
        "compare", "--model", "models/bert", "--task", "text", "--data", "lines.txt", "--length", 16, "--sentences", 8,
        "--recipe", "random", "--recipe", "magnitude", "--budget", 0.5, "--executor", "serial", "--out", folder,
    )  # fmt: skip
    answer = walras(*line, "--seeds", 2)
    assert answer.code == 0, answer
    assert "All cells are finished" in answer.err or "[0/" not in answer.err
    assert {p: p.read_bytes() for p in sorted(folder.glob("cells/*/*")) if p.is_file()} == before
