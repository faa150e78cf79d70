"""Run folders of tiny models to export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Walras = Callable[..., Any]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remote code is copied to a folder of the test's own."""
    place = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
    monkeypatch.syspath_prepend(place)


@pytest.fixture
def run(walras: Walras, models: Path, lines: Path, glue: Path, no_pictures: None) -> Callable[..., Path]:
    """Runs a tiny model at half of its compute; the run folder."""

    def made(name: str = "bert", *options: object) -> Path:
        task = ("sst2", glue) if name == "classifier" else ("text", lines)
        base = (
            "--task",
            task[0],
            "--data",
            task[1],
            "--recipe",
            "none",
            "--rounds",
            1,
            "--block",
            8,
            "--out",
            f"run-{name}",
            "--overwrite",
        )
        answer = walras("run", "--model", models / name, *base, *options)
        assert answer.code == 0, answer.err
        return Path(f"run-{name}")

    return made
