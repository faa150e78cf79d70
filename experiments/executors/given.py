"""An executor that the caller made, and will shut down."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, final
from weakref import WeakSet

from walras.errors import ExecutorError
from walras.experiments.executors.dask_executor import DaskExecutor
from walras.experiments.executors.source import ExecutorSource


@final
@dataclass(frozen=True)
class GivenExecutor(ExecutorSource):
    """Any `concurrent.futures.Executor` of the caller's, such as `client.get_executor()` of a Dask client.

    It is left open. What has begun there when the context is left runs to its end, since the interface has no way to
    end it; what has not is cancelled.
    """

    abroad: ClassVar[bool] = True
    executor: Executor

    def __str__(self) -> str:
        return f"executor {type(self.executor).__name__}"

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """The executor, as one that is never shut down."""
        client = getattr(self.executor, "_client", None)  # of the executor of a Dask client
        lent: Executor = LentExecutor(self.executor)
        if client is not None:
            lent = DaskExecutor(client, getattr(self.executor, "_kwargs", None))
        try:
            yield lent
        finally:
            lent.shutdown(wait=False, cancel_futures=True)

    def may_be_innocent(self, error: BaseException) -> bool:
        """Whether Dask gave an item up because workers died, at which others may have been at work."""
        return type(error).__name__ == "KilledWorker"

    def watch(self, executor: Executor) -> None:
        """Look whether a Dask scheduler is there.

        Raises:
            ExecutorError: it is not.
        """
        if isinstance(executor, DaskExecutor) and executor.lost:
            raise ExecutorError(f"{self} was lost; what was finished is kept")


@final
class LentExecutor(Executor):
    """Hands calls to another executor and can cancel its own there."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._futures: WeakSet[Future[Any]] = WeakSet()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The other executor's future."""
        future = self._executor.submit(fn, *args, **kwargs)
        self._futures.add(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel what has not begun, if so asked; the other executor stays open."""
        for future in list(self._futures) if cancel_futures else ():
            future.cancel()
