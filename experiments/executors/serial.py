"""One item after another in this process."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, final

from walras.experiments.executors.source import ExecutorSource
from walras.experiments.executors.worker import one_thread


@final
@dataclass(frozen=True)
class Serial(ExecutorSource):
    """One item after another in this process, on one thread."""

    name: ClassVar[str] = "serial"
    ahead: ClassVar[int | None] = 1

    @property
    def side_by_side(self) -> int:
        """One."""
        return 1

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """An executor whose `submit` does the work."""
        with one_thread():
            yield SerialExecutor()


@final
class SerialExecutor(Executor):
    """Does a call as it is submitted; Ctrl-C goes through to the caller."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The future of a call that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
