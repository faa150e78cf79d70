"""The processes that mpiexec started."""

import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, final

from walras.errors import InputError
from walras.experiments.executors.source import ExecutorSource, imported, require
from walras.experiments.executors.worker import ONE_THREAD, enter_worker

LINE = "mpiexec -n 4 python -m mpi4py.futures -m walras compare ... --executor mpi"


@final
@dataclass(frozen=True)
class Mpi(ExecutorSource):
    """The processes that `mpiexec -n N python -m mpi4py.futures` started: one hands out work, the others do it.

    MPI can neither end a call that has begun, nor go on without a process that died: with one, all of them end.

    Raises:
        InputError: mpi4py is not installed.
    """

    name: ClassVar[str] = "mpi"
    abroad: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require("mpi4py", self.name)

    def __str__(self) -> str:
        return "executor mpi"

    def check(self) -> None:
        """Find out whether mpiexec started this process as the one that hands out work.

        Raises:
            InputError: there is no MPI library, no other process, or mpi4py.futures does not run.
        """
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise InputError(
                f"executor mpi finds no MPI library: load your cluster's, or pip install mpich ({error})"
            ) from error
        if MPI.COMM_WORLD.Get_size() < 2 or "mpi4py.futures" not in sys.orig_argv:
            raise InputError(f"executor mpi needs two processes or more, and mpi4py.futures: {LINE}")

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """An executor of all processes but this one. What has begun is waited for."""
        self.check()
        executor = imported("mpi4py.futures", self.name).MPIPoolExecutor(initializer=enter_worker, env=ONE_THREAD)
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)
