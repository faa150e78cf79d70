"""An executor that the caller made, and will shut down."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, final
from weakref import WeakSet

from walras.experiments.executors.sealed_call import submit_sealed
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
        lent = LentExecutor(self.executor)
        try:
            yield lent
        finally:
            lent.shutdown(cancel_futures=True)


@final
class LentExecutor(Executor):
    """Hands calls to another executor and can cancel its own there."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._futures: WeakSet[Future[Any]] = WeakSet()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The other executor's future."""
        if type(self._executor).__module__.startswith("distributed."):
            future = submit_sealed(self._executor, fn, args, kwargs)
        else:
            future = self._executor.submit(fn, *args, **kwargs)
        self._futures.add(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel what has not begun, if so asked; the other executor stays open."""
        for future in list(self._futures) if cancel_futures else ():
            future.cancel()
