"""What holds wherever a job is done: one thread, so that numbers do not depend on how many run side by side."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Generic, TypeVar, final

from walras.errors import InputError
from walras.experiments.executors.memory import keep_freed_memory

T = TypeVar("T")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of a process that does jobs; read once, when a numerical library is loaded."""
_TURN = threading.Lock()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def restored_environment(names: Iterable[str]) -> Iterator[None]:
    """Undo what happens to some environment variables within the context."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def enter_worker() -> None:
    """Prepare a process that does nothing but jobs: its memory is its own, and Ctrl-C is its parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    if parent_process() is not None:
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End at once when the parent does, also when it was killed: nobody else would end this process."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@final
@dataclass(frozen=True)
class AbroadJob(Generic[T]):
    """A job in a process that others started: in the folder of the caller, on one thread, one item at a time.

    Items take turns because folder, threads and the state of random numbers belong to the process: a Dask worker with
    several threads is no faster than one with a single thread.
    """

    job: Callable[[T], object]
    folder: Path

    def __call__(self, item: T) -> None:
        """Do the job.

        Raises:
            InputError: this machine does not have the folder.
        """
        with _TURN, self._there(), nullcontext() if _on_one_thread() else one_thread():
            self.job(item)

    def _there(self) -> chdir[Path]:
        if not self.folder.is_dir():
            raise InputError(
                f"the worker on {socket.gethostname()} has no folder {str(self.folder)!r}: workers need the files of "
                "the machine on which the command was given, under the same names"
            )
        return chdir(self.folder)


def _on_one_thread() -> bool:
    """Whether a torch that is still to be loaded will be told by the environment to compute on one thread."""
    return "torch" not in sys.modules and ONE_THREAD.items() <= os.environ.items()
