"""The ablation ends like its neighbours: an error in one line, and Ctrl-C with a word on what is left."""

from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.benchmarks import ablation


@pytest.mark.parametrize(
    ("ends", "code", "told"),
    [
        (InputError("no such model"), 2, "Error: no such model"),
        (KeyboardInterrupt(), 130, "Interrupted; the same command goes on from there"),
    ],
)
def test_how_it_ends(
    ends: BaseException, code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def run_grid(*_: Any, **__: Any) -> None:
        raise ends

    monkeypatch.setattr(ablation, "run_grid", run_grid)
    with pytest.raises(SystemExit) as stop:
        ablation.main("data", "model", out=tmp_path)
    assert stop.value.code == code
    assert capsys.readouterr().err.strip() == told
    assert list(tmp_path.iterdir()) == []
