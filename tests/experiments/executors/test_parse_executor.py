"""Which executor a text, a number of workers or an object means, and what is said of one that cannot be had."""

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec

import pytest

from walras.errors import InputError
from walras.experiments.executors import EXECUTORS, ExecutorSource, dask_cluster, parse_executor, source
from walras.experiments.executors.dask_cluster import Dask
from walras.experiments.executors.given import GivenExecutor
from walras.experiments.executors.mpi import Mpi
from walras.experiments.executors.processes import Processes
from walras.experiments.executors.serial import Serial
from walras.experiments.executors.worker import cores

OWN = """
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from walras.experiments.executors import ExecutorSource

@dataclass(frozen=True)
class Threads(ExecutorSource):
    workers: int = 2

    def open(self):
        return ThreadPoolExecutor(self.workers)
"""


@pytest.mark.parametrize(
    ("given", "workers", "meant"),
    [
        (None, None, Processes()),
        (None, 0, Serial()),
        (None, 3, Processes(3)),
        ("processes", 3, Processes(3)),
        ("Processes:workers=2", None, Processes(2)),
        ("serial", None, Serial()),
        ("mpi", None, Mpi()),
        ("dask", 2, Dask(workers=2)),
        ("dask:workers=2", None, Dask(workers=2)),
        ("dask:tcp://host:8786", None, Dask("tcp://host:8786")),
        ("dask:tls://[::1]:8786", None, Dask("tls://[::1]:8786")),
        ("Dask:host:8786", None, Dask("host:8786")),
        ("dask:address=tcp://host:8786", None, Dask("tcp://host:8786")),
        (Processes(2), None, Processes(2)),
    ],
)
def test_what_is_meant(given: str | ExecutorSource | None, workers: int | None, meant: ExecutorSource) -> None:
    assert parse_executor(given, workers) == meant
    assert parse_executor(meant) is meant


def test_an_executor_of_the_standard_interface() -> None:
    with ThreadPoolExecutor(1) as threads:
        assert parse_executor(threads) == GivenExecutor(threads)


def test_how_many_side_by_side() -> None:
    assert Processes().side_by_side == cores() >= 1
    assert (Processes(3).side_by_side, Serial().side_by_side, Dask(workers=2).side_by_side) == (3, 1, 2)
    assert Dask("tcp://host:8786").side_by_side is Mpi().side_by_side is None


def test_a_users_own(tmp_path: object) -> None:
    (file := tmp_path / "own.py").write_text(OWN)  # type: ignore[operator]
    made = parse_executor(f"{file}:Threads:workers=3")
    assert getattr(made, "workers", None) == 3
    assert getattr(parse_executor(f"{file}:Threads", 4), "workers", None) == 4


@pytest.mark.parametrize(
    ("given", "workers", "message"),
    [
        ("dsk", None, "unknown executor 'dsk'. Did you mean 'dask'? Known: dask, mpi, processes, serial."),
        ("dsk:tcp://host:8786", None, "unknown executor 'dsk'. Did you mean 'dask'?"),
        ("processes:4", None, "'4' behind processes is no parameter; write processes:key=value"),
        ("processes:cores=4", None, "unknown parameter of executor processes 'cores'"),
        ("processes:workers=many", None, "workers of executor processes is 'many'; it must be of type int"),
        ("processes:workers=0", None, "workers is 0; it must be a whole number of at least 1"),
        ("processes", 0, "workers is 0; it must be a whole number of at least 1"),
        (None, -1, "workers is -1; it must be a whole number of at least 1"),
        ("dask:workers=0", None, "workers is 0; it must be a whole number of at least 1"),
        ("dask:tcp://host:8786", 2, "the Dask cluster at tcp://host:8786 has its own workers; leave workers out"),
        ("mpi", 2, "executor mpi has its own number of workers; leave --workers out"),
        ("dask:host", None, "'host' is no address of a Dask scheduler; write dask:tcp://HOST:8786"),
        ("dask:", None, "'' behind dask is no parameter"),
        ("none.py:Mine", 2, "executor file 'none.py' does not exist"),
        (3, None, "executor is 3; it must be a ExecutorSource, or the name of one: processes, serial, dask, mpi"),
    ],
)
def test_bad_input(given: str, workers: int | None, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_executor(given, workers)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("executor", "package"), [("dask", "distributed"), ("dask:h:1", "distributed"), ("mpi", "mpi4py")]
)
def test_one_that_is_not_installed(executor: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(InputError, match=rf"needs the package {package}: pip install '.\[cluster\]'"):
        parse_executor(executor)
    assert list(EXECUTORS) == ["processes", "serial", "dask", "mpi"]  # listed all the same


@pytest.mark.parametrize("answers", [True, False])
def test_a_scheduler_that_is_not_reached(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at the address; or somebody does, who is no scheduler and never says a word."""
    import_module("distributed")  # takes its time as well, on a busy machine: not part of what is measured

    assert dask_cluster.PATIENCE < 10
    monkeypatch.setattr(dask_cluster, "PATIENCE", 1.0)
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if answers:
            port.listen()
        address, begun = f"tcp://127.0.0.1:{port.getsockname()[1]}", time.monotonic()
        with pytest.raises(InputError, match=f"the Dask scheduler at {address} does not answer within 1 s"):
            parse_executor(f"dask:{address}").check()
    assert time.monotonic() - begun < 10


def test_mpi_without_mpiexec() -> None:
    with pytest.raises(InputError, match=r"needs two processes or more, and mpi4py\.futures: mpiexec -n 4 python -m"):
        parse_executor("mpi").check()


def test_two_numbers_of_workers_are_refused() -> None:
    with pytest.raises(InputError, match="processes:workers=2 names 2 workers, and --workers 3; give one of them"):
        parse_executor("processes:workers=2", 3)
    assert parse_executor("processes:workers=2", 2) == Processes(2)


@pytest.mark.parametrize("address", ["foo://127.0.0.1:1", "tls://127.0.0.1:1"])
def test_what_fails_at_once_is_not_told_as_a_silence(address: str) -> None:
    with pytest.raises(InputError, match=f"the Dask scheduler at {address} cannot be reached: "):
        parse_executor(f"dask:{address}").check()


def test_a_package_that_does_not_import_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)  # an import of it raises ImportError
    with pytest.raises(InputError, match="executor dask needs the package distributed, which does not import"):
        Dask.check(object.__new__(Dask))
