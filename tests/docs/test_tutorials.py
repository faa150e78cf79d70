"""The tutorials run from top to bottom: here on a tiny model, every night on the one that they name."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from doc_pages import DOCS, cells

from walras.models.loading import DEFAULT_MODEL

TUTORIALS = sorted(path.name for path in (DOCS / "tutorials").glob("[0-9]*.md"))
QUICK = ("1-first-market.md", "2-your-rule.md", "5-faster-decoder.md")
"""Those that run by day as well."""
NAMED = f'find("{DEFAULT_MODEL}")'


@pytest.mark.parametrize("model", ["tiny", pytest.param(DEFAULT_MODEL, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.nightly]) for name in TUTORIALS]
)
def test_runs(name: str, model: str, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    code = cells(f"tutorials/{name}")
    if model == "tiny":
        code = code.replace(NAMED, repr(tiny))
    scope: dict[str, Any] = {"__name__": "tutorial", "display": print}
    try:
        exec(compile(code, name, "exec"), scope)
        assert plt.get_fignums(), "every tutorial has a picture"
    finally:
        plt.close("all")


def test_there_are_five() -> None:
    assert len(TUTORIALS) == 5
    assert sum(NAMED in cells(f"tutorials/{name}") for name in TUTORIALS) == 4  # the fifth makes its own
