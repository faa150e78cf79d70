"""Jobs that succeed, fail, die and are interrupted, in this process and in others."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from walras.errors import InputError
from walras.experiments.grids.executor import Executor, Local, Outcome, Serial, cores

# Jobs stand in a file of their own, which a fresh process imports without all that this one needs.
JOBS = """
import os, signal, sys, time
from pathlib import Path

def job(item):
    Path(f"{item}.pid").write_text(str(os.getpid()))
    if item == "fails":
        raise ValueError("no such luck")
    if item == "exits":
        sys.exit(3)
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "gone":
        os._exit(4)
    if item == "waits":
        time.sleep(3_600)  # longer than any patience
    threads = [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")]
    Path(f"{item}.done").write_text(f"{threads} {signal.getsignal(signal.SIGINT) == signal.SIG_IGN}")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and the jobs."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "walras_test_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcomes(executor: Executor, *items: str) -> dict[str, str | None]:
    import walras_test_jobs  # type: ignore[import-not-found]  # the fixture's

    with closing(executor.run(walras_test_jobs.job, items)) as found:
        told = list(found)
    assert all(isinstance(outcome, Outcome) for outcome in told)
    assert len(told) == len(items)
    return {outcome.item: outcome.error for outcome in told}


def pid_of(item: str, patience: float) -> int:
    """The process that has begun with an item."""
    until, file = time.monotonic() + patience, Path(f"{item}.pid")
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return int(file.read_text())


@pytest.mark.parametrize("workers", [1, 3])
def test_what_fails_or_dies_costs_its_own_item_only(here: Path, workers: int) -> None:
    items = ("a", "fails", "b", "killed", "exits", "gone", "c", "d")
    found = outcomes(Local(workers), *items)
    assert {item for item in items if found[item] is None} == {"a", "b", "c", "d"}
    assert str(found["fails"]).startswith("Traceback")
    assert str(found["fails"]).endswith("ValueError: no such luck\n")
    assert str(found["exits"]).endswith("SystemExit: 3\n")
    assert str(found["killed"]).startswith("the worker process was killed by SIGKILL")
    assert found["gone"] == "the worker process ended with exit code 4 in the middle of its work\n"
    assert {p.stem for p in here.glob("*.done")} == {"a", "b", "c", "d"}  # in this folder, whatever it is
    assert {p.read_text() for p in here.glob("*.done")} == {"['1', '1', '1'] True"}
    pids = {p.stem: int(p.read_text()) for p in here.glob("*.pid")}
    assert os.getpid() not in pids.values()
    if workers == 1:  # one process goes on after a failure; a new one follows on one that died
        assert pids["a"] == pids["fails"] == pids["b"] == pids["killed"] != pids["exits"] == pids["gone"]
        assert pids["gone"] != pids["c"] == pids["d"]
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_one_after_another_in_this_process(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    found = outcomes(Serial(), "a", "fails", "b")
    assert list(found) == ["a", "fails", "b"]
    assert (found["a"], found["b"]) == (None, None)
    assert str(found["fails"]).endswith("ValueError: no such luck\n")
    assert {p.read_text() for p in here.glob("*.pid")} == {str(os.getpid())}


def test_closing_ends_what_still_runs(here: Path, patience: float) -> None:
    import walras_test_jobs

    with closing(Local(2).run(walras_test_jobs.job, ["waits", "a", "waits", "b"])) as found:
        assert next(found) == Outcome("a")
        pid = pid_of("waits", patience)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not Path("b.done").exists()


def test_workers_end_when_their_parent_is_killed(here: Path, patience: float) -> None:
    code = (
        "from walras.experiments.grids.executor import Local\nimport walras_test_jobs\n"
        "if __name__ == '__main__':\n    list(Local(1).run(walras_test_jobs.job, ['waits']))\n"
    )
    (here / "code" / "parent.py").write_text(code)
    parent = subprocess.Popen([sys.executable, here / "code" / "parent.py"], stdout=subprocess.PIPE)
    pid_of("waits", patience)
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=patience)  # the worker holds its end of the pipe for as long as it lives


def test_workers_that_are_none() -> None:
    assert Local().workers == cores() >= 1
    with pytest.raises(InputError, match="workers is 0; it must be a whole number of at least 1"):
        Local(0)
