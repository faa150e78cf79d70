"""All executors that can be named, and how a text, a number of workers or an object becomes one."""

from concurrent.futures import Executor

from walras.errors import InputError
from walras.experiments.executors.dask_cluster import Dask
from walras.experiments.executors.given import GivenExecutor
from walras.experiments.executors.mpi import Mpi
from walras.experiments.executors.processes import Processes
from walras.experiments.executors.serial import Serial
from walras.experiments.executors.source import ExecutorSource
from walras.parameters import is_own, scalar, split_spec, taken_parameters
from walras.registry import Registry, normalised

EXECUTORS: Registry[ExecutorSource] = Registry("executor", ExecutorSource)
for source in (Processes, Serial, Dask, Mpi):
    EXECUTORS.add(source)


def parse_executor(given: ExecutorSource | Executor | str | None = None, workers: int | None = None) -> ExecutorSource:
    """The executor that is meant; nothing is opened.

    Args:
        given: `NAME`, `NAME:key=value`, `NAME:ADDRESS` (dask:tcp://HOST:8786), FILE.py:Class, an object, or None for
            processes of this machine.
        workers: how many processes, where they are of this machine; 0 without `given` means none but this one.

    Raises:
        UnknownNameError: no such executor.
        InputError: one that is not installed, too few workers, two numbers of them, or workers of an executor that
            has its own.
    """
    if isinstance(given, Executor):
        given = GivenExecutor(given)
    if given is None:
        return Serial() if workers == 0 else Processes(workers)
    if workers is not None and not _takes(given, "workers"):
        raise InputError(f"executor {given} has its own number of workers; leave --workers out")
    if isinstance(given, str):
        name, _, address = given.partition(":")
        if address and "=" not in address and _takes(given, "address"):
            return EXECUTORS.make({"name": name, "address": address}, workers=workers)
        _check_agreement(given, workers)
    return EXECUTORS.make(given, workers=workers)


def _check_agreement(given: str, workers: int | None) -> None:
    """Refuse two numbers of workers.

    Raises:
        InputError: as said.
    """
    named = {normalised(key): scalar(value) for key, value in split_spec(given)[1]}
    if workers is not None and named.get("workers", workers) != workers:
        raise InputError(
            f"executor {given} names {named['workers']} workers, and --workers {workers}; give one of them"
        )


def _takes(given: object, parameter: str) -> bool:
    """Whether a text names an executor that takes a parameter."""
    if not isinstance(given, str):
        return False
    entry = EXECUTORS.find(given) if is_own(given) else EXECUTORS[given.partition(":")[0]]
    return parameter in taken_parameters(entry)
