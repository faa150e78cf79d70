"""What came of a job for each of many items, on whichever executor."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from traceback import format_exc, format_exception
from typing import Generic, TypeVar, final
from uuid import uuid4

from walras.errors import ExecutorError
from walras.experiments.executors.process_pool import WorkerDied
from walras.experiments.executors.registry import parse_executor
from walras.experiments.executors.source import ExecutorSource
from walras.experiments.executors.worker import AbroadJob

T = TypeVar("T")
WATCHED = 1.0  # seconds between two looks at an executor that is silent


@final
@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of an item: done, or why not (a traceback, or how the process died)."""

    item: T
    error: str | None = None


def outcomes(
    executor: ExecutorSource | Executor | str | None, job: Callable[[T], object], items: Sequence[T]
) -> Generator[Outcome[T], None, None]:
    """Do a job for every item; outcomes in the order in which they come, items begun in the order given.

    A job that fails, or whose process dies, is told as an outcome, and the rest goes on. Job and items travel by
    pickle; a process keeps what its jobs cached from one item to the next. Close the generator (`contextlib.closing`)
    to end what still runs.

    Args:
        executor: an `ExecutorSource`, its name, None for processes of this machine, or any executor of the standard
            library's interface, which is left open.
        job: called with an item in a worker; what it returns is dropped.
        items: of any kind that can be pickled.

    Raises:
        InputError: an executor that is unknown, not installed or not reachable.
        ExecutorError: the executor was lost, or broke for good. What has been told of stays done.
    """
    source = parse_executor(executor)
    if not items:
        return
    task = AbroadJob(job, Path.cwd()) if source.abroad else job
    suspects: list[T] = []
    with source.open() as opened:
        for item, error in _tried(source, opened, task, items):
            if isinstance(error, BaseException) and source.may_be_innocent(error):
                suspects.append(item)
            else:
                yield Outcome(item, _told(error))
        for suspect in suspects:
            for item, error in _tried(source, opened, task, [suspect]):
                yield Outcome(item, _told(error))


def _tried(
    source: ExecutorSource, executor: Executor, job: Callable[[T], object], items: Sequence[T]
) -> Iterator[tuple[T, str | BaseException | None]]:
    """Items as they are done with, and what the job, or else the executor, says is wrong with each."""
    waiting, pending = deque(items), dict[Future[str | None], T]()
    done: SimpleQueue[Future[str | None]] = SimpleQueue()
    while waiting or pending:
        while waiting and (source.ahead is None or len(pending) < source.ahead):
            item = waiting.popleft()
            future = _submitted(executor, job, item)
            pending[future] = item
            future.add_done_callback(done.put)
        try:
            future = done.get(timeout=WATCHED)
        except Empty:
            source.watch(executor)
            continue
        yield pending.pop(future), _error(future, source)


def _submitted(executor: Executor, job: Callable[[T], object], item: T) -> "Future[str | None]":
    """Hand an item over; one that cannot be handed over has failed."""
    try:
        return executor.submit(attempt, job, item, uuid4().hex)
    except Exception as error:
        failed: Future[str | None] = Future()
        failed.set_exception(error)
        return failed


def _error(future: "Future[str | None]", source: ExecutorSource) -> str | BaseException | None:
    """What the job said went wrong; or why the executor could not do it.

    Raises:
        ExecutorError: the item cannot be blamed, and none after it will fare better.
    """
    try:
        error = future.exception()
    except CancelledError as cancelled:
        raise ExecutorError(f"{source} was lost; what was finished is kept") from cancelled
    if isinstance(error, BrokenExecutor):
        raise ExecutorError(f"{source} broke; what was finished is kept: {error}") from error
    return future.result() if error is None else error


def _told(error: str | BaseException | None) -> str | None:
    """An error in the words of an outcome."""
    if isinstance(error, WorkerDied):
        return f"{error}\n"
    return "".join(format_exception(error)) if isinstance(error, BaseException) else error


def attempt(job: Callable[[T], object], item: T, number: str) -> str | None:
    """In a worker: do the job; the traceback, where it failed.

    `number` is different for every call: Dask takes calls with equal arguments for one, and does it once.
    """
    del number
    try:
        job(item)
    except (Exception, SystemExit):  # whatever one item meets is no reason to stop the others
        return format_exc()
    return None
