"""Dask: a cluster on this machine, or any that is running (Slurm, PBS, Kubernetes, by Dask's own deployers)."""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, final

from walras.errors import ExecutorError, InputError
from walras.experiments.executors.dask_executor import DaskExecutor
from walras.experiments.executors.source import ExecutorSource, check_workers, imported, require
from walras.experiments.executors.worker import ONE_THREAD, cores, restored_environment

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 8.0  # seconds in which a scheduler must answer
SILENCE = "11s"  # after which a machine that says nothing is given up; Dask takes no less
ADDRESS = re.compile(r"([a-z]+://)?(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):\d+(/\S*)?")  # [PROTOCOL://]HOST:PORT
KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**31 - 1)}
ENVIRONMENT = {**ONE_THREAD, **KEPT_MEMORY}  # of workers of our own; as enter_worker does to other processes
LOCAL = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,  # few wait at a worker, which may die
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
}
"""Settings of Dask for a cluster of our own."""


@final
@dataclass(frozen=True)
class Dask(ExecutorSource):
    """A Dask cluster: the one at `address` (dask:tcp://HOST:8786), or else processes of this machine.

    What a worker that dies was at goes to another, as often as the scheduler's `allowed-failures` says (not at all on
    this machine), and then once more with all workers to itself. Workers should have one thread: items take turns
    within a process.

    Raises:
        InputError: `distributed` is not installed, less than one worker, workers at an address, or what is no address.
    """

    name: ClassVar[str] = "dask"
    abroad: ClassVar[bool] = True
    address: str = ""
    workers: int | None = None

    def __post_init__(self) -> None:
        require("distributed", self.name)
        if self.workers is not None:
            check_workers(self.workers)
            if self.address:
                raise InputError(f"the Dask cluster at {self.address} has its own workers; leave workers out")

        if self.address and not ADDRESS.fullmatch(self.address):
            raise InputError(f"{self.address!r} is no address of a Dask scheduler; write dask:tcp://HOST:8786")

    def __str__(self) -> str:
        return f"the Dask scheduler at {self.address}" if self.address else "the Dask cluster on this machine"

    @property
    def side_by_side(self) -> int | None:
        """How many processes, of a cluster on this machine."""
        return None if self.address else self.workers or cores()

    def check(self) -> None:
        """Find out whether the scheduler answers.

        Raises:
            InputError: it does not, within 10 s, or there is no client for it, or `distributed` does not import.
        """
        imported("distributed", self.name)
        if self.address:
            with self._client():
                pass

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """An executor on the cluster; workers at work on its calls when the context is left are started anew."""
        with self._client() as client:
            executor = DaskExecutor(client)
            try:
                yield executor
            finally:
                if self.address:  # a cluster of our own ends with the context
                    executor.end(PATIENCE)

    def may_be_innocent(self, error: BaseException) -> bool:
        """Whether an item was given up because workers died, at which others may have been at work."""
        from distributed import KilledWorker

        return isinstance(error, KilledWorker)

    def watch(self, executor: Executor) -> None:
        """Look whether the scheduler is there.

        Raises:
            ExecutorError: it is not.
        """
        if isinstance(executor, DaskExecutor) and executor.lost:
            raise ExecutorError(f"{self} was lost; what was finished is kept")

    @contextmanager
    def _client(self) -> Iterator["Client"]:
        """A client of the cluster, which is closed afterwards."""
        imported("distributed", self.name)
        import dask
        from distributed import Client

        if not self.address:
            with (
                _quiet(),
                _local_cluster(self.workers or cores()) as cluster,
                Client(cluster, set_as_default=False) as client,
            ):
                yield client
            return
        with _quiet(), dask.config.set({"distributed.comm.timeouts.tcp": SILENCE}):
            client = self._connected()
            try:
                yield client
            finally:
                client.close(timeout=PATIENCE / 2)

    def _connected(self) -> "Client":
        """A client of the scheduler at the address.

        It is made in a thread of its own, which is given up with what hangs there: Dask waits for ever for an answer of
        whatever accepts its connection.

        Raises:
            InputError: no scheduler has answered.
        """
        from distributed import Client

        begun, answer = monotonic(), SimpleQueue[Client | Exception]()

        def connect() -> None:
            try:
                answer.put(Client(self.address, timeout=PATIENCE, set_as_default=False))
            except Exception as error:  # of the address, the protocol, the network, or the other's version
                answer.put(error)

        Thread(target=connect, daemon=True).start()
        try:
            found = answer.get(timeout=PATIENCE + 1)
        except Empty:
            found = TimeoutError("what listens there is no scheduler")
        if isinstance(found, Exception):
            at_once = monotonic() - begun < PATIENCE / 2  # an address that no protocol takes, say
            told = "cannot be reached" if at_once else f"does not answer within {PATIENCE:g} s"
            raise InputError(f"{self} {told}: {found}") from found
        return found


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """A scheduler in this process and workers in others."""
    import dask
    from distributed import LocalCluster

    with restored_environment((*ENVIRONMENT, "PYTHONHASHSEED", "__DASK_PARENT_PID")):  # nannies set them here too
        with dask.config.set(LOCAL):
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, memory_limit=None, dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )  # fmt: skip
        with cluster:
            yield cluster


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask logs about lost workers and connections off the screen: outcomes and errors tell it."""
    handlers = logging.getLogger("distributed").handlers
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
