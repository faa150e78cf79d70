"""Two sweeps may share one folder cell by cell."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from walras.experiments.grids import runner
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import run_grid
from walras.experiments.store.grid_folder import GridFolder
from walras.files.locks import one_writer

Begun = Callable[[], list[str]]


def test_a_cell_that_another_sweep_works_on_is_left_to_it(
    here: Path, begun: Begun, toys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = Grid.from_axes(toys, {"gain": 1}, {"rule": ["a", "b"], "budget": [0.5]}, 2), GridFolder("o")
    first = made.cells[0]
    job = made.experiment.job(folder.absolute())

    def other_is_done(seconds: float) -> None:
        waited.append(seconds)
        other.close()

    waited: list[float] = []
    other = Other(folder.place(first).absolute(), lambda: job(first))
    monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=other_is_done))
    found = run_grid(made, folder, "serial")
    assert not found.failed
    assert waited  # for the one cell, when all others were done
    assert begun().count(str(first)) == 1  # by the other one alone
    assert len(found.table) == len(made.cells)


@dataclass
class Other:
    """Another sweep, in a thread: it holds a cell until it is closed, and then finishes it."""

    place: Path
    job: Callable[[], object]

    def __post_init__(self) -> None:
        self.held, self.asked = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        assert self.held.wait(60)

    def work(self) -> None:
        with one_writer(self.place):
            self.held.set()
            self.asked.wait(60)
            self.job()

    def close(self) -> None:
        self.asked.set()
        self.thread.join(60)
