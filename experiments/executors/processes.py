"""Processes of this machine."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, final

from walras.experiments.executors.source import ExecutorSource, check_workers
from walras.experiments.executors.worker import cores


@final
@dataclass(frozen=True)
class Processes(ExecutorSource):
    """Side by side in fresh processes of this machine, one per core unless told otherwise, on one thread each.

    Raises:
        InputError: less than one worker.
    """

    name: ClassVar[str] = "processes"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None:
            check_workers(self.workers)

    @property
    def side_by_side(self) -> int:
        """How many processes."""
        return cores() if self.workers is None else self.workers

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """The processes, which end with the context, whatever they are at."""
        from walras.experiments.executors.process_pool import WorkerProcesses

        pool = WorkerProcesses(self.side_by_side)
        try:
            yield pool
        finally:
            pool.kill()
