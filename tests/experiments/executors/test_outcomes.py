"""What comes of jobs that succeed, fail, die and are interrupted, in this process and in others."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.experiments.executors.conftest import gone, pids, until
from walras.errors import ExecutorError, InputError
from walras.experiments.executors import Outcome, outcomes
from walras.experiments.executors.worker import AbroadJob

Told = Callable[..., dict[str, str | None]]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_fails_or_dies_costs_its_own_item_only(here: Path, told: Told, workers: int) -> None:
    items = ("a", "fails", "b", "killed", "exits", "gone", "c", "d")
    found = told(f"processes:workers={workers}", *items)
    assert {item for item in items if found[item] is None} == {"a", "b", "c", "d"}
    assert str(found["fails"]).startswith("Traceback")
    assert str(found["fails"]).endswith("ValueError: no such luck\n")
    assert str(found["exits"]).endswith("SystemExit: 3\n")
    assert str(found["killed"]).startswith("the worker process was killed by SIGKILL")
    assert found["gone"] == "the worker process ended with exit code 4 in the middle of its work\n"
    assert {p.stem for p in here.glob("*.done")} == {"a", "b", "c", "d"}  # in this folder, whatever it is
    assert {p.read_text() for p in here.glob("*.done")} == {"['1', '1', '1'] True"}
    begun = {item: pids(item) for item in items}
    assert all(len(each) == 1 for each in begun.values())
    assert [os.getpid()] not in begun.values()
    if workers == 1:  # one process goes on after a failure; a new one follows on one that died
        assert begun["a"] == begun["fails"] == begun["b"] == begun["killed"] != begun["exits"] == begun["gone"]
        assert begun["gone"] != begun["c"] == begun["d"]
    assert all(gone(pid) for (pid,) in begun.values())


def test_one_after_another_in_this_process(here: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    found = told("serial", "a", "fails", "b")
    assert list(found) == ["a", "fails", "b"]
    assert (found["a"], found["b"]) == (None, None)
    assert str(found["fails"]).endswith("ValueError: no such luck\n")
    assert {p.read_text() for p in here.glob("*.pid")} == {f"{os.getpid()}\n"}


def test_in_this_process_nothing_is_begun_before_it_is_asked_for(here: Path) -> None:
    import walras_test_jobs  # type: ignore[import-not-found]  # the fixture's

    with closing(outcomes("serial", walras_test_jobs.job, ["fails", "exits", "a"])) as found:
        assert next(found).item == "fails"
        assert not pids("exits")
    assert not pids("a")


def test_closing_ends_what_still_runs(here: Path, patience: float) -> None:
    import walras_test_jobs

    with closing(outcomes("processes:workers=2", walras_test_jobs.job, ["waits", "a", "waits", "b"])) as found:
        assert next(found) == Outcome("a")
        until(lambda: pids("waits"), patience)
    assert gone(pids("waits")[0])
    assert not Path("b.done").exists()


def test_workers_end_when_their_parent_is_killed(here: Path, patience: float) -> None:
    code = (
        "from walras.experiments.executors import outcomes\nimport walras_test_jobs\n"
        "if __name__ == '__main__':\n    list(outcomes('processes:workers=1', walras_test_jobs.job, ['waits']))\n"
    )
    (here / "parent.py").write_text(code)
    parent = subprocess.Popen([sys.executable, here / "parent.py"], stdout=subprocess.PIPE)
    until(lambda: pids("waits"), patience)
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=patience)  # the worker holds its end of the pipe for as long as it lives


def test_a_script_that_starts_itself_again_is_told_why_it_fails(here: Path, patience: float) -> None:
    code = "from walras.experiments.executors import outcomes\nprint(list(outcomes('processes:workers=1', print, 'a')))"
    (here / "parent.py").write_text(code)
    line = [sys.executable, str(here / "parent.py")]
    answer = subprocess.run(line, stdout=subprocess.PIPE, text=True, timeout=patience, check=False)
    assert "a worker process died before it had begun" in answer.stdout
    assert "__main__" in answer.stdout
    assert answer.stdout.count("Outcome") == 1


def test_an_item_that_cannot_travel_has_failed_and_the_rest_goes_on(here: Path) -> None:
    import walras_test_jobs

    items = ["a", lambda: None, "b"]
    with closing(outcomes("processes:workers=1", walras_test_jobs.job, items)) as found:
        first, wrong, last = found
    assert (first.error, last.error) == (None, None)
    assert "pickle" in str(wrong.error).lower()


def test_no_items_start_nothing(told: Told) -> None:
    assert told("processes") == told("serial") == told("dask:tcp://127.0.0.1:1") == {}


def test_an_executor_of_the_callers_stays_open(here: Path, monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    import walras_test_jobs

    for name in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    items = ["a", "fails", "waits", "b", "waits", "c"]
    with ThreadPoolExecutor(1) as threads:
        with closing(outcomes(threads, walras_test_jobs.job, items)) as found:
            assert next(found).error is None
            assert "no such luck" in str(next(found).error)
            until(lambda: pids("waits"), patience)
        Path("go").touch()  # what has begun runs to its end
        assert threads.submit(pickle.dumps, 1).result() == pickle.dumps(1)
    assert Path("waits.done").exists()
    assert not pids("b")


@pytest.mark.nightly
def test_an_executor_of_the_callers_that_breaks_ends_it(here: Path, told: Told) -> None:
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(
            ExecutorError,
            match="executor ProcessPoolExecutor broke; what was finished is kept: A process in the process pool",
        ),
    ):
        told(pool, "gone", "a")


def test_threads_take_turns_because_a_folder_belongs_to_the_process(here: Path, patience: float) -> None:
    begun: list[float] = []

    def job(item: str) -> None:
        begun.append(time.monotonic())
        time.sleep(0.05)

    with ThreadPoolExecutor(3) as threads, closing(outcomes(threads, job, "abc")) as found:
        assert [outcome.error for outcome in found] == [None] * 3
    assert min(later - sooner for sooner, later in pairwise(begun)) >= 0.05


def test_a_worker_on_a_machine_with_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"has no folder '{tmp_path}/none': workers need the files of the machine"):
        AbroadJob(print, tmp_path / "none")("a")
