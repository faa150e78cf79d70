"""The guide to a task of one's own: its code runs, and is as short as it says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "own-task.md"


def test_the_task_of_the_guide_runs(walras: Callable[..., Any], models: Path, no_pictures: None) -> None:
    if not GUIDE.is_file():
        pytest.skip("the guides are not in a built package")
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    code = found[1]
    own = [line for line in code[code.index("class Polite") :].splitlines() if line.strip()]
    assert len(own) <= 20
    Path("polite.py").write_text(code, encoding="utf-8")
    line = ("--recipe", "magnitude", "--block", 16, "--length", 16, "--sentences", 8, "--model", models / "bert")
    answer = walras("run", "--task", "polite.py:Polite:repeat=3", *line, "--out", "o")
    assert answer.code == 0, answer.err
    assert "share of right neighbours" in Path("o/result.json").read_text(encoding="utf-8")
