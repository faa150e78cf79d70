"""Dask, with real processes: workers and schedulers that are killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from distributed import Client

from tests.experiments.executors.conftest import Cluster, aside, gone, pids, until
from walras.errors import ExecutorError
from walras.experiments.executors import outcomes

Told = Callable[..., dict[str, str | None]]

# All that a shell starts in the background ignores Ctrl-C, and workers inherit that unless Dask listens to it.
HEARD = {f"['1', '1', '1'] {deaf}" for deaf in {False, signal.getsignal(signal.SIGINT) == signal.SIG_IGN}}


@pytest.mark.nightly
def test_workers_and_scheduler_are_killed(cluster: Cluster, here: Path, told: Told, patience: float) -> None:
    """A job goes to another worker when its own is killed; without a scheduler there is an error, and a second try."""
    scheduler = cluster.scheduler()
    cluster.worker()
    killed: list[int] = []

    def kill_the_first() -> None:
        until(lambda: pids("waits"), patience)
        killed.extend(pids("waits"))
        cluster.worker()
        next(p for p in cluster.processes if p.pid == killed[0]).kill()
        until(lambda: len(pids("waits")) == 2, patience)
        Path("go").touch()

    thread = aside(kill_the_first)
    found = told(cluster.executor, "a", "fails", "waits", "b")
    thread.join()
    assert {item: error for item, error in found.items() if error is None} == {"a": None, "waits": None, "b": None}
    assert str(found["fails"]).endswith("ValueError: no such luck\n")
    assert len(set(pids("waits"))) == 2
    assert {p.stem for p in here.glob("*.done")} == {"a", "waits", "b"}  # here, where the workers were not started
    assert {p.read_text() for p in here.glob("*.done")} <= HEARD

    Path("go").unlink()
    lost: list[float] = []

    def kill_the_scheduler() -> None:
        until(lambda: len(pids("waits")) == 3, patience)
        lost.append(time.monotonic())
        scheduler.kill()

    thread = aside(kill_the_scheduler)
    with pytest.raises(ExecutorError, match=f"the Dask scheduler at tcp://127.0.0.1:{cluster.port} was lost"):
        told(cluster.executor, "waits")
    assert time.monotonic() - lost[0] < 10
    thread.join()


@pytest.mark.nightly
def test_a_job_that_kills_every_worker_fails_alone(cluster: Cluster, told: Told) -> None:
    cluster.scheduler()
    for _ in range(2):
        cluster.worker("--nanny")
    found = told(cluster.executor, "a", "killed", "b", "c", "d", "e", "f")
    assert {item: error for item, error in found.items() if error is not None and item != "killed"} == {}
    assert "KilledWorker" in str(found["killed"])


@pytest.mark.nightly
def test_closing_frees_the_workers(cluster: Cluster, here: Path, patience: float) -> None:
    """With a nanny, a worker is ended at what it does, and another takes its place; those of others are left alone."""
    import walras_test_jobs  # type: ignore[import-not-found]  # the fixture's

    cluster.scheduler()
    for _ in range(2):
        cluster.worker("--nanny")
    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as other:
        others = other.submit(walras_test_jobs.job, str(here / "waits-too"))
        until(lambda: pids("waits-too"), patience)
        with closing(outcomes(cluster.executor, walras_test_jobs.job, ["a", "waits", "b"])) as found:
            assert next(found).error is None
            until(lambda: pids("waits"), patience)
        until(lambda: gone(pids("waits")[0]), patience)
        Path("go").touch()
        others.result(patience)
    assert len(pids("waits")) == len(pids("waits-too")) == 1


@pytest.mark.nightly
def test_a_clients_own_executor(cluster: Cluster, here: Path, told: Told, patience: float) -> None:
    """The client takes equal calls for one; jobs are done as often as they are asked for."""
    scheduler = cluster.scheduler()
    cluster.worker()
    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False, timeout=5) as client:
        for _ in range(2):
            assert told(client.get_executor(), "a", "b") == {"a": None, "b": None}
        assert (len(pids("a")), len(pids("b"))) == (2, 2)

        def kill_in_the_middle() -> None:
            until(lambda: pids("waits"), patience)
            scheduler.kill()

        thread = aside(kill_in_the_middle)
        with pytest.raises(ExecutorError, match="executor ClientExecutor was lost"):
            told(client.get_executor(), "waits")
        thread.join()


@pytest.mark.nightly
def test_a_cluster_of_our_own(here: Path, told: Told, capfd: pytest.CaptureFixture[str]) -> None:
    items, environment = ("a", "fails", "killed", "b", "c"), dict(os.environ)
    found = told("dask:workers=2", *items)
    assert dict(os.environ) == environment
    assert {item for item in items if found[item] is None} == {"a", "b", "c"}
    assert str(found["fails"]).endswith("ValueError: no such luck\n")
    assert "KilledWorker" in str(found["killed"])
    assert {p.read_text() for p in here.glob("*.done")} <= HEARD
    assert all(gone(pid) for item in items for pid in pids(item))
    assert capfd.readouterr().err == ""  # what Dask logs about it is told by the outcomes


@pytest.mark.nightly
def test_closing_ends_a_cluster_of_our_own(here: Path, patience: float) -> None:
    import walras_test_jobs

    with closing(outcomes("dask:workers=2", walras_test_jobs.job, ["waits", "a", "b"])) as found:
        assert next(found).error is None
        until(lambda: pids("waits"), patience)
    assert gone(pids("waits")[0])


@pytest.mark.nightly
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_cluster_of_our_own_ends_with_its_parent(here: Path, how: signal.Signals, patience: float) -> None:
    """Killed alone; or by Ctrl-C, which goes to the workers as well."""
    code = (
        "import signal\nfrom walras.experiments.executors import outcomes\nimport walras_test_jobs\n"
        "if __name__ == '__main__':\n    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    list(outcomes('dask:workers=1', walras_test_jobs.job, ['waits']))\n"
    )
    (here / "parent.py").write_text(code)
    line = [sys.executable, str(here / "parent.py")]
    parent = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: pids("waits"), patience)
    (os.killpg if how == signal.SIGINT else os.kill)(parent.pid, how)
    _, errors = parent.communicate(timeout=patience)  # the workers hold the other end
    assert errors.strip().endswith("KeyboardInterrupt") or how == signal.SIGKILL
    until(lambda: gone(pids("waits")[0]), patience)
