"""MPI, with the real mpiexec: three processes, of which one hands out work."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.executors.conftest import pids

SWEEP = """
import sys
from walras.experiments.executors import outcomes
import walras_test_jobs
if __name__ == "__main__":
    for outcome in outcomes("mpi", walras_test_jobs.job, sys.argv[1:]):
        print(outcome.item, (outcome.error or "done").splitlines()[-1], flush=True)
"""
Mpi = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mpi(patience: float) -> Mpi:
    """`mpiexec -n 3 python -m mpi4py.futures ARGUMENTS...`."""
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("no MPI on this machine, and no wheel of one for it")

    def start(*arguments: object) -> "subprocess.CompletedProcess[str]":
        line = [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, timeout=patience, check=False)

    return start


def test_on_the_processes_of_mpiexec(mpi: Mpi, here: Path) -> None:
    (here / "sweep.py").write_text(SWEEP)
    items = ("a", "fails", "b", "exits", "c", "d")
    done = mpi("sweep.py", *items)
    assert done.returncode == 0, done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert told == {
        "a": "done", "b": "done", "c": "done", "d": "done",
        "fails": "ValueError: no such luck", "exits": "SystemExit: 3",
    }  # fmt: skip
    assert {p.read_text() for p in here.glob("*.done")} == {"['1', '1', '1'] True"}
    assert len({pid for item in items for pid in pids(item)}) == 2


@pytest.mark.nightly
def test_a_process_that_dies_ends_them_all(mpi: Mpi, here: Path) -> None:
    """As MPI has it; what had been told of is done."""
    (here / "sweep.py").write_text(SWEEP)
    done = mpi("sweep.py", "a", "killed", "waits", "waits")
    assert done.returncode != 0
    assert {p.stem for p in here.glob("*.done")} <= {"a"}


@pytest.mark.nightly
def test_errors_end_all_processes(mpi: Mpi, here: Path) -> None:
    done = mpi("-m", "walras", "compare", "--recipe", "nothing", "--executor", "mpi")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: unknown recipe 'nothing'.")


@pytest.mark.nightly
def test_a_comparison_gives_the_same_bytes(
    mpi: Mpi, walras: Callable[..., Any], models: Path, lines: Path, no_pictures: None
) -> None:
    cells = ("--recipe", "random", "--recipe", "magnitude", "--seeds", 2, "--model", models / "bert", "--task", "text")
    assert walras("compare", *cells, "--data", lines, "--out", "one", "--workers", 0).code == 0
    done = mpi("-m", "walras", "compare", *cells, "--data", lines, "--out", "many", "--executor", "mpi")
    assert done.returncode == 0, done.stderr
    assert "random" in done.stdout
    for name in ("frontier.parquet", "frontier.csv", "statistics.csv"):
        assert (Path("many") / name).read_bytes() == (Path("one") / name).read_bytes()
