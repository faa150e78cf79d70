"""An executor of processes of which each may die without harm to the others.

The standard `ProcessPoolExecutor` breaks as a whole when one of its processes dies: all that runs is ended, and nobody
can tell which call was to blame. So each process is a standard pool of one. A thread per process hands it one call
after another and, where the pool breaks, knows the call that broke it, and makes another.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, final

from walras.experiments.executors.worker import ONE_THREAD, enter_worker, restored_environment

R = TypeVar("R")
_STARTING = threading.Lock()  # the environment is the whole process's: one start at a time changes it


@final
class WorkerDied(Exception):
    """The process that did a call died of it, or was killed; the message says how."""


@final
class WorkerProcesses(Executor):
    """Fresh processes, one thread of computation each, that take calls in the order in which they are submitted.

    A call whose process dies raises `WorkerDied`; another process takes its place. They ignore Ctrl-C, which is the
    parent's to handle, and end when the parent ends, however it ends. A process is started when it is first needed.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="walras-worker")
        self._mine = threading.local()  # .worker: the process of this thread
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()  # of _workers and _ended
        self._ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The future of `fn(*args, **kwargs)` in the next process that is free."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the processes end when those that were submitted are done."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            for worker in self._workers:
                worker.pool.shutdown()

    def kill(self) -> None:
        """End all processes at once, whatever they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._ended = True
            for worker in self._workers:
                worker.process.kill()
        self.shutdown()

    def _call(self, fn: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """In a thread: the call in its process."""
        worker = getattr(self._mine, "worker", None) or self._started()
        try:
            return worker.pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool as error:
            with self._lock:
                self._workers.discard(worker)
            del self._mine.worker
            worker.pool.shutdown()  # waits for the process
            raise WorkerDied(cause_of_death(worker.process.exitcode)) from error

    def _started(self) -> "_Worker":
        worker = _Worker.start()
        with self._lock:
            if self._ended:
                worker.process.kill()
            self._workers.add(worker)
        self._mine.worker = worker
        return worker


@final
@dataclass(frozen=True, eq=False)
class _Worker:
    """A pool of one process, and the process."""

    pool: ProcessPoolExecutor
    process: BaseProcess

    @staticmethod
    def start() -> "_Worker":
        """Start a process and wait until it is ready.

        Raises:
            WorkerDied: it died before that.
            BrokenExecutor: no process can be started here.
        """
        pool = ProcessPoolExecutor(1, get_context("spawn"), enter_worker)
        try:
            with _STARTING, _surroundings():
                first = pool.submit(os.getpid)
        except RuntimeError as error:  # this is such a process itself, and still imports the main module
            raise BrokenExecutor("a worker process cannot start others while it starts itself") from error
        try:
            pid = first.result()
        except BrokenProcessPool as error:
            pool.shutdown()
            raise WorkerDied(
                "a worker process died before it had begun; a script that starts them must do so under "
                'if __name__ == "__main__":'
            ) from error
        return _Worker(pool, next(child for child in multiprocessing.active_children() if child.pid == pid))


@contextmanager
def _surroundings() -> Iterator[None]:
    """What a process inherits at its start: one thread for every numerical library, and no ear for Ctrl-C."""
    resource_tracker.ensure_running()  # it would undo the mask if it were started under it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        with restored_environment(ONE_THREAD):
            os.environ.update(ONE_THREAD)
            yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def cause_of_death(code: int | None) -> str:
    """How a process ended that should not have."""
    if code is None or code >= 0:
        return f"the worker process ended with exit code {code} in the middle of its work"
    names = {s.value: s.name for s in signal.Signals}
    likely = " (often: the machine ran out of memory)" if -code == 9 else ""
    return f"the worker process was killed by {names.get(-code, f'signal {-code}')}{likely}"
