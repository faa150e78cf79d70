"""A training whose row is kept is not run again."""

from pathlib import Path
from typing import Any

import pytest

from walras.experiments.benchmarks import kept_trainings
from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.benchmarks.kept_trainings import measure
from walras.experiments.benchmarks.rises import cells, figures, key
from walras.experiments.progress import Silent
from walras.experiments.training.config import TrainConfig


def test_rows_are_kept(models: Path, glue: Path, tmp_path: Path, no_pictures: None, monkeypatch: Any) -> None:
    monkeypatch.setattr("walras.experiments.training.train.TIMED", {1: 1})
    common = {"model": str(models / "bert"), "task": "stsb", "data": str(glue), "length": 16, "batch_size": 4}
    small = {**common, "block": 16, "epochs": 1, "held_out": 0.0, "valuation": "fisher", "repair": "none"}
    configs = [TrainConfig.parse({**cells()[i], **small, "sentences": 8}) for i in (0, 5)]
    designs, file = [(key(config), config) for config in configs], tmp_path / "cells.jsonl"
    found = measure(designs[:1], figures, file, Silent())
    (first,) = read_rows(file)
    monkeypatch.setattr(kept_trainings, "train", lambda *_, **__: pytest.fail("it has a row"))
    assert found == measure(designs[:1], figures, file, Silent()) == [first]
    assert read_rows(file) == [first]
    assert (first["rise"], first["price"], len(first["course"])) == ("constant", 0.2, 11)
    assert 0 <= first["used"] <= 1
    with pytest.raises(pytest.fail.Exception):
        measure(designs, figures, file, Silent())
