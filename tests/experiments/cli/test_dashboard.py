"""`walras dashboard` says what is wrong before it listens, and begins with what it is told."""

from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.cli.serving.dashboard import _launch
from walras.experiments.dashboard.lively import LIVELY


def launch(given: dict[str, Any] | None = None, folders: tuple[Path, ...] = (), config: Path | None = None) -> Any:
    return _launch(given or {}, folders, config, (), 0, True)


def test_it_begins_with_lively_settings_below_those_that_are_given() -> None:
    settings = launch({"budget": "40%", "block": 8}).settings
    assert settings["budget"] == {"macs": 0.4}
    assert settings["block"] == 8
    assert settings["sentences"] == LIVELY["sentences"]


def test_a_recipe_is_taken_as_it_is_but_for_the_repair() -> None:
    found = launch({"recipe": "walras"})
    assert found.settings["valuation"] == "partial-fisher"
    assert found.settings["repair"] == "none"
    assert "not repaired here" in found.notes[0]


def test_a_run_brings_its_settings(tmp_path: Path) -> None:
    (tmp_path / "rounds.parquet").write_bytes(b"")  # looked at by the page
    (tmp_path / "config.yaml").write_text("market:\n  budget: {macs: 0.3}\n  mechanism: VCG\n")
    found = launch(folders=(tmp_path,))
    assert found.settings["mechanism"] == "VCG"
    assert found.settings["budget"] == {"macs": 0.3}
    assert found.run_folders == [tmp_path]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        launch(folders=(tmp_path / "nowhere",))
    with pytest.raises(InputError, match="neither a run"):
        launch(folders=(tmp_path,))
