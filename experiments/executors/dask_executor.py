"""The executor of a Dask client.

Dask's own (`client.get_executor()`) loses a call, or tells of one that is done as failed, where the worker that holds
its result dies before the client has fetched it. It also lets the scheduler look into calls, so that the scheduler
imports torch and all that items are made of.
"""

import asyncio
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final
from weakref import WeakSet

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Remote


@final
class DaskExecutor(Executor):
    """Calls on a Dask cluster; classes of a script or notebook travel with them.

    Args:
        client: of the cluster; left open.
        options: of every call, as of `client.submit`: resources, workers, retries.
    """

    def __init__(self, client: "Client", options: Mapping[str, Any] | None = None) -> None:
        self._client, self._options = client, dict(options or {})
        self._remote: WeakSet[Remote] = WeakSet()

    @property
    def lost(self) -> bool:
        """Whether the scheduler can no longer be reached."""
        return bool(self._client.status != "running")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The future of `fn(*args, **kwargs)`; it is cancelled where the scheduler is lost."""
        import cloudpickle

        call = cloudpickle.dumps((fn, args, kwargs))
        remote = self._client.submit(call_sealed, call, **{**self._options, "pure": False})
        told: Future[Any] = Future()
        self._remote.add(remote)
        self._client.loop.add_callback(self._relay, remote, told)
        return told

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel the calls, if so asked; those that run are then left to themselves."""
        if cancel_futures and not self.lost:
            self._client.cancel(list(self._remote))

    def end(self, patience: float) -> None:
        """Cancel all calls; workers at work on nothing but those are ended, and started anew by their nannies."""
        busy = self._busy()
        self.shutdown(cancel_futures=True)
        if busy:
            with suppress(Exception):  # without a nanny, a worker finishes what it is at
                self._client.restart_workers(busy, timeout=patience, raise_for_error=False)

    def _busy(self) -> list[str]:
        """Addresses of workers at work on calls of ours, and no others."""
        ours = {remote.key for remote in self._remote if remote.status == "pending"}
        if not ours or self.lost:
            return []
        with suppress(OSError, TimeoutError):
            processing = self._client.processing()
            return [worker for worker, keys in processing.items() if keys and ours.issuperset(keys)]
        return []

    async def _relay(self, remote: "Remote", told: "Future[Any]") -> None:
        """Tell what comes of a call; one whose result is lost with its worker, Dask does again."""
        try:
            (result,) = await self._client.gather([remote], asynchronous=True)
        except (CancelledError, asyncio.CancelledError, OSError):  # calls raise nothing: it is the connection
            told.cancel()
        except BaseException as error:
            told.set_exception(error)
        else:
            told.set_result(result)


def call_sealed(call: bytes) -> Any:
    """In the worker: make the call."""
    fn, args, kwargs = pickle.loads(call)
    return fn(*args, **kwargs)
