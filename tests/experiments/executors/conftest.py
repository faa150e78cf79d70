"""Jobs that succeed, fail, die and wait, and a Dask cluster of real processes on the loopback interface."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import pytest

from walras.experiments.executors import outcomes

# Jobs stand in a file of their own, which a fresh process imports without all that a test needs.
JOBS = """
import os, signal, sys, time
from pathlib import Path

def job(item):
    with open(f"{item}.pid", "a") as file:
        print(os.getpid(), file=file)
    if item == "fails":
        raise ValueError("no such luck")
    if item == "exits":
        sys.exit(3)
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "gone":
        os._exit(4)
    while Path(item).name.startswith("waits") and not Path(item).with_name("go").exists():
        time.sleep(0.05)
    threads = [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")]
    Path(f"{item}.done").write_text(f"{threads} {signal.getsignal(signal.SIGINT) == signal.SIG_IGN}")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and the jobs, for this process and those that it starts."""
    code, work = tmp_path / "code", tmp_path / "work"
    code.mkdir()
    work.mkdir()
    (code / "walras_test_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(code)
    monkeypatch.setenv("PYTHONPATH", str(code))
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def told(here: Path) -> Callable[..., dict[str, str | None]]:
    """Errors by item, of items that are handed to an executor."""
    import walras_test_jobs  # type: ignore[import-not-found]  # the fixture's

    def told(executor: object, *items: str) -> dict[str, str | None]:
        with closing(outcomes(executor, walras_test_jobs.job, items)) as found:  # type: ignore[arg-type]
            answers = list(found)
        assert sorted(outcome.item for outcome in answers) == sorted(items)
        return {outcome.item: outcome.error for outcome in answers}

    return told


def until(true: Callable[[], object], patience: float) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def pids(item: str) -> list[int]:
    """The processes that have begun with an item, in their order."""
    file = Path(f"{item}.pid")
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def gone(pid: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"  # dead, and not yet asked about


def aside(work: Callable[[], object]) -> threading.Thread:
    """Do something while this thread waits for outcomes."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


@final
@dataclass
class Cluster:
    """A Dask scheduler and its workers, each a process of its own."""

    folder: Path  # of the workers, on purpose not that of the sweep
    port: int
    patience: float
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def executor(self) -> str:
        """As it is named on the command line."""
        return f"dask:tcp://127.0.0.1:{self.port}"

    def scheduler(self) -> "subprocess.Popen[bytes]":
        """Start the scheduler, at the same address every time, and wait until it listens."""
        process = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        until(self._listens, self.patience)
        return process

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def worker(self, *more: str) -> "subprocess.Popen[bytes]":
        """Start a worker of one thread."""
        return self._start("dask_worker", f"tcp://127.0.0.1:{self.port}", "--nthreads", "1", *(more or ("--no-nanny",)))

    def _start(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        line = [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *arguments]
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
        with (self.folder / f"log-{len(self.processes)}").open("wb") as log:
            process = subprocess.Popen(
                line, cwd=self.folder, env={**os.environ, **one_thread}, stdout=log, stderr=subprocess.STDOUT
            )
        self.processes.append(process)
        return process


@pytest.fixture
def cluster(tmp_path: Path, patience: float) -> Iterator[Cluster]:
    """No process yet; those that are started end with the test."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Cluster(folder, port, patience)
    yield found
    for process in found.processes:
        process.kill()
        process.wait()
