"""`walras compare` on a tiny encoder and a task that can go wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Walras = Callable[..., Any]

# Own text, with accidents: the file fail-S makes cells of seed S fail, block-S keeps them busy after the last round.
TASK = """
import os, time
from pathlib import Path
from walras import Task
from walras.experiments.tasks.text import from_texts
from walras.experiments.tasks.data.text_file import read_lines

class Risky(Task):
    name, metric, head = "risky", "agreement", "base"

    def __init__(self, data):
        self.text = from_texts(read_lines(data))

    def pool(self):
        return self.text.pool()

    def objective(self, model, label_free):
        return self.text.objective(model, label_free)

    def batch(self, *args):
        return self.text.batch(*args)

    def reference(self, model, tokenizer, **sizes):
        os.environ.pop("SEED", None)
        with Path("dense-metrics").open("a") as file:
            print(os.getpid(), file=file)
        return self.text.reference(model, tokenizer, **sizes)

    def calibration(self, tokenizer, *, seed, **more):
        os.environ["SEED"] = str(seed)
        if Path(f"fail-{seed}").exists():
            raise OSError(f"seed {seed} met an accident")
        return super().calibration(tokenizer, seed=seed, **more)

    def evaluate(self, model, tokenizer, reference, **sizes):
        while Path(f"block-{os.environ.get('SEED')}").exists():
            time.sleep(0.05)
        return self.text.evaluate(model, tokenizer, reference, **sizes)
"""


@pytest.fixture
def options(tmp_path: Path, models: Path, lines: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """Two seeds on a tiny encoder and a task that can go wrong."""
    monkeypatch.setenv("SEED", "")  # so that it is as before afterwards
    (tmp_path / "risky.py").write_text(TASK)
    task = tmp_path / "risky.py:Risky"
    return ("--seeds", 2, "--model", models / "bert", "--task", task, "--data", lines, "--out", "o")


@pytest.fixture
def compare(walras: Walras, options: tuple[object, ...], no_pictures: None) -> Walras:
    """`walras compare` in this process with two recipes that take no time, and two budgets; later options win."""
    cells = ("--recipe", "random", "--recipe", "magnitude", "--budget", 0.5, "--budget", 0.75)
    return lambda *more: walras("compare", *cells, *options, "--workers", 0, *more)
