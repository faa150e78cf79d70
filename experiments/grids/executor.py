"""Where many independent jobs run: one after another in this process, or side by side in processes of their own.

A job that fails, or whose process dies, is told as an outcome, and the rest goes on. Numbers do not depend on how many
run side by side: every process computes on one thread.
"""

import os
import signal
import threading
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar, final

from walras.errors import InputError
from walras.experiments.memory import keep_freed_memory

T = TypeVar("T")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read once, when a library is loaded


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread within the context, as every process that does a job does."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@final
@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of an item: done, or why not (a traceback, or how the process died)."""

    item: T
    error: str | None = None


class Executor(ABC):
    """Does a job for every item."""

    @abstractmethod
    def run(self, job: Callable[[T], object], items: Sequence[T]) -> Generator[Outcome[T], None, None]:
        """Outcomes in the order in which they come; items are begun in the order given.

        Close the iterator (`contextlib.closing`) to end what still runs.
        """


@final
@dataclass(frozen=True)
class Serial(Executor):
    """One after another in this process."""

    def run(self, job: Callable[[T], object], items: Sequence[T]) -> Generator[Outcome[T], None, None]:
        """Outcomes in the order of the items."""
        with one_thread():
            for item in items:
                yield Outcome(item, _attempt(job, item))


@final
@dataclass(frozen=True)
class Local(Executor):
    """Side by side in fresh processes of this machine, one thread each.

    A process keeps what its jobs cached from one item to the next. One that dies (killed, out of memory, crashed)
    costs the item that it had; another takes its place. They ignore Ctrl-C, which is the parent's to handle, and end
    when the parent ends, however it ends. Job and items travel by pickle through a pipe; nothing is written.

    Raises:
        InputError: less than one worker.
    """

    workers: int = field(default_factory=cores)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"workers is {self.workers!r}; it must be a whole number of at least 1")

    def run(self, job: Callable[[T], object], items: Sequence[T]) -> Generator[Outcome[T], None, None]:
        """Outcomes as they come."""
        waiting = deque(items)
        working: dict[Connection, _Worker] = {}
        try:
            for _ in range(min(self.workers, len(waiting))):
                worker = _Worker(job, waiting.popleft())
                working[worker.pipe] = worker
            while working:
                for pipe in wait(list(working)):
                    worker = working[pipe]  # type: ignore[index]  # what was waited for
                    outcome = Outcome(worker.item, worker.error())
                    if waiting and worker.alive:
                        worker.give(waiting.popleft())
                    else:
                        del working[worker.pipe]
                        worker.stop()
                        if waiting:
                            worker = _Worker(job, waiting.popleft())
                            working[worker.pipe] = worker
                    yield outcome
        finally:
            for worker in working.values():
                worker.process.kill()
            for worker in working.values():
                worker.stop()


class _Worker:
    """A process at work on an item, as its parent sees it."""

    def __init__(self, job: Callable[[Any], object], item: Any) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        with _surroundings():
            self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self.alive = True
        self.give(item)

    def give(self, item: Any) -> None:
        """The next item; where the process has just died, `error` will tell."""
        self.item = item
        with suppress(OSError):
            self.pipe.send(item)

    def error(self) -> str | None:
        """Wait for the item's outcome."""
        try:
            told: str | None = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            self.alive = False
            return _death(self.process.exitcode)
        return told

    def stop(self) -> None:
        """No more items: the process ends by itself, if it is not dead already."""
        self.pipe.close()
        self.process.join()
        self.process.close()


def _death(code: int | None) -> str:
    """How a process ended that should not have."""
    if code is None or code >= 0:
        return f"the worker process ended with exit code {code} in the middle of its work\n"
    names = {s.value: s.name for s in signal.Signals}
    likely = " (often: the machine ran out of memory)" if -code == 9 else ""
    return f"the worker process was killed by {names.get(-code, f'signal {-code}')}{likely}\n"


@contextmanager
def _surroundings() -> Iterator[None]:
    """What a process inherits at its start: one thread for every numerical library, and no ear for Ctrl-C."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    resource_tracker.ensure_running()  # it would undo the mask if it were started under it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, job: Callable[[Any], object]) -> None:
    """In the process: the job for every item that comes, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            item = pipe.recv()
            pipe.send(_attempt(job, item))


def _end_with_parent() -> None:
    """End at once when the parent does, also when it was killed: nobody else would end this process."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _attempt(job: Callable[[T], object], item: T) -> str | None:
    """The traceback, where the job failed."""
    try:
        job(item)
    except (Exception, SystemExit):  # whatever one item meets is no reason to stop the others
        return traceback.format_exc()
    return None
