"""A comparison on a Dask cluster that loses a worker and its scheduler: the same table as from one process."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.experiments.executors.conftest import Cluster, aside, gone, pids, until

# Own text; says which process evaluates a cell of which seed, and is at it for as long as there is a file block-SEED.
TASK = """
import os, time
from pathlib import Path
from walras import Task
from walras.experiments.tasks.text import from_texts
from walras.experiments.tasks.data.text_file import read_lines

class Slow(Task):
    name, metric, head = "slow", "agreement", "base"

    def __init__(self, data):
        self.text, self.seed = from_texts(read_lines(data)), None

    def pool(self):
        return self.text.pool()

    def objective(self, model, label_free):
        return self.text.objective(model, label_free)

    def batch(self, *args):
        return self.text.batch(*args)

    def reference(self, model, tokenizer, **sizes):
        return self.text.reference(model, tokenizer, **sizes)

    def calibration(self, tokenizer, *, seed, **more):
        os.environ["SEED"] = str(seed)
        return super().calibration(tokenizer, seed=seed, **more)

    def evaluate(self, model, tokenizer, reference, **sizes):
        seed = os.environ["SEED"]
        with open(f"{seed}.pid", "a") as file:
            print(os.getpid(), file=file)
        while Path(f"block-{seed}").exists():
            time.sleep(0.05)
        return self.text.evaluate(model, tokenizer, reference, **sizes)
"""


@pytest.mark.nightly
def test_a_worker_and_the_scheduler_are_killed(
    cluster: Cluster, walras: Callable[..., Any], models: Path, lines: Path, tmp_path: Path, no_pictures: None,
    monkeypatch: pytest.MonkeyPatch, patience: float,
) -> None:  # fmt: skip
    monkeypatch.setenv("SEED", "")  # so that it is as before afterwards
    (tmp_path / "slow.py").write_text(TASK)
    cells = ("--recipe", "random", "--seeds", 3, "--model", models / "bert", "--task", tmp_path / "slow.py:Slow")

    def compare(*more: object) -> Any:
        return walras("compare", *cells, "--data", lines, *more)

    one = compare("--out", "one", "--executor", "serial")
    assert one.code == 0, one.err
    for file in Path().glob("*.pid"):
        file.unlink()

    scheduler = cluster.scheduler()
    for _ in range(2):
        cluster.worker("--nanny")
    Path("block-1").touch()

    def sabotage() -> None:
        """Kill the worker that has the blocked cell; and when the other has it, the scheduler."""
        until(lambda: len(pids("1")) == 1, patience)
        os.kill(pids("1")[0], signal.SIGKILL)
        until(lambda: len(pids("1")) == 2 and list(Path("many").glob("cells/*/result.json")), patience)
        scheduler.kill()

    thread = aside(sabotage)
    answer = compare("--out", "many", "--executor", cluster.executor)
    thread.join()
    assert answer.code == 2
    assert answer.err.splitlines()[-1] == (
        f"Error: the Dask scheduler at tcp://127.0.0.1:{cluster.port} was lost; what was finished is kept"
    )
    assert len(set(pids("1"))) == 2
    keys = [cell["cell"] for cell in yaml.safe_load(Path("many/compare.yaml").read_text())["cells"]]
    done = {p.parent.name: p.stat().st_mtime_ns for p in Path("many").glob("cells/*/result.json")}
    assert done
    assert keys[1] not in done

    assert "does not answer" in compare("--out", "many", "--executor", cluster.executor).error  # it is still dead
    until(lambda: gone(pids("1")[1]), patience)  # its nanny ends a worker without a scheduler, whatever it is at
    cluster.scheduler()
    cluster.worker("--nanny")
    Path("block-1").unlink()
    again = compare("--out", "many", "--executor", cluster.executor)
    assert (again.code, again.out) == (0, one.out.replace("one/", "many/"))
    for name in ("frontier.parquet", "frontier.csv"):
        assert (Path("many") / name).read_bytes() == (Path("one") / name).read_bytes()
    assert (
        done.items() <= {p.parent.name: p.stat().st_mtime_ns for p in Path("many").glob("cells/*/result.json")}.items()
    )
