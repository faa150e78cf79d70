"""Searches for a target: of functions, through cells, and what is said of the end."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from functions import FunctionExperiment, Point, ran

from walras.errors import InputError, UnknownNameError, WalrasError
from walras.experiments.calibrating.calibrate import Calibration, search_cells
from walras.experiments.calibrating.search import EVERYWHERE, FOUND, NOWHERE, RAN_OUT, Search
from walras.experiments.calibrating.target import Target
from walras.experiments.designs.factors import Range
from walras.experiments.grids.grid import Grid
from walras.experiments.store.grid_folder import GridFolder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def find(
    target: str, rule: str, over: Range | None = None, seeds: int = 1, tolerance: float = 0.1, runs: int = 20
) -> Calibration:
    over = over or Range("x", 0, 1)

    def cells(values: Sequence[Any]) -> Grid[Point]:
        return Grid.from_axes(FunctionExperiment(), {"rule": rule}, {over.name: list(values)}, seeds)

    place = GridFolder("o")
    return search_cells(
        cells, over, Target.read(target), place, tolerance=tolerance, runs=runs, executor="serial"
    )[0]  # fmt: skip


def search(target: str, function: Callable[[float], float], runs: int = 60) -> Any:
    return Search(
        lambda places: [function(at) for at in places], Target.read(target), lambda a, b: (a + b) / 2, 1e-4, runs
    ).find()


@pytest.mark.parametrize(
    ("target", "function", "at"),
    [
        ("quality>=0.5", lambda x: x**2 - 0.5, 0.5**0.5), ("quality<=0.5", lambda x: x**2 - 0.5, 0.5**0.5),
        ("quality=0.5", lambda x: x**2 - 0.5, 0.5**0.5), ("quality>=0.5", lambda x: 0.5 - x, 0.5),
        ("quality=0", lambda x: 0.3 - x, 0.3),
    ],
)  # fmt: skip
def test_boundaries_of_monotone_functions(target: str, function: Callable[[float], float], at: float) -> None:
    found = search(target, function)
    assert found.status == FOUND
    assert found.best.at == pytest.approx(at, abs=2e-4)
    gap, relation = function(found.best.at), Target.read(target).relation
    assert gap >= 0 if relation == ">=" else gap <= 0 if relation == "<=" else abs(gap) < 1e-3
    assert abs(found.other.at - found.best.at) < 2e-4


def test_a_target_that_only_the_inside_reaches() -> None:
    """Both ends are too low, and the hill between them is not."""
    found = search("quality>=0.9", lambda x: 0.1 - (x - 0.6) ** 2)
    assert found.status == FOUND
    assert found.best.gap >= 0
    assert found.best.at == pytest.approx(0.6 - 0.1**0.5, abs=2e-4)
    assert search("quality=0.9", lambda x: 0.1 - (x - 0.6) ** 2).status == FOUND


@pytest.mark.parametrize(
    ("target", "function"),
    [("quality>=2", lambda x: x - 2), ("quality=2", lambda x: x - 2), ("quality<=0", lambda x: x + 1)],
)
def test_a_target_that_no_run_can_reach(target: str, function: Callable[[float], float]) -> None:
    found = search(target, function)
    assert found.status == NOWHERE
    assert abs(found.best.gap) == pytest.approx(1, abs=1e-3)  # the end that is nearest


def test_a_target_that_holds_at_both_ends() -> None:
    found = search("quality>=0", lambda x: 1 + x)
    assert (found.status, found.best.at) == (EVERYWHERE, 0.0)


def test_an_end_that_is_exact() -> None:
    assert search("quality=0", lambda x: x).best.at == 0


def test_no_more_runs_than_there_may_be() -> None:
    found = search("quality>=0.5", lambda x: x - 0.503, runs=6)
    assert found.status == RAN_OUT
    assert found.best.gap >= 0
    assert found.best.at == 0.5625


def test_a_search_through_cells_is_kept() -> None:
    found = find("quality>=0.5*dense", "square")
    assert found.status == FOUND
    assert found.value == pytest.approx(0.5**0.5, abs=0.1)
    assert found.figure.mean >= 0.5
    assert found.neighbour is not None
    assert found.neighbour**2 < 0.5
    assert (found.cells, found.kept) == (len(found.tried), 0)
    assert ran() == len(found.tried)
    again = find("quality>=0.5*dense", "square")
    assert (again.value, again.cells, again.kept, ran()) == (found.value, found.cells, found.cells, 0)
    told = json.loads(Path("o/calibration.json").read_text())
    assert (told["value"], told["status"], told["message"]) == (again.value, FOUND, again.message)
    assert {p.name for p in Path("o").iterdir()} >= {"compare.yaml", "cells", "frontier.csv"}


def test_what_a_finer_search_adds() -> None:
    find("quality>=0.5", "step", tolerance=0.2)
    before = ran()
    finer = find("quality>=0.5", "step", tolerance=0.02)
    assert finer.kept == before
    assert finer.value == pytest.approx(0.37, abs=0.02)
    assert finer.value >= 0.37
    assert f"{finer.cells} runs, of which {before} were there already" in finer.message


def test_figures_are_means_over_seeds() -> None:
    found = find("quality>=0.5", "noisy", seeds=2)
    assert found.value == pytest.approx(0.5, abs=0.1)  # ±0.25 by seed
    assert found.figure.count == 2
    assert found.cells == 2 * len(found.tried)
    assert "over 2 seeds" in found.message


def test_whole_numbers() -> None:
    found = find("quality>=6.5", "rounds", Range("rounds", 1, 9, whole=True), tolerance=0.001)
    assert (found.value, found.neighbour) == (7, 6)
    assert type(found.value) is int
    assert len({value for value, _ in found.tried}) == len(found.tried) <= 6


def test_logarithmic_ranges() -> None:
    found = find("quality>=1e-4", "square", Range("x", 1e-4, 1, log=True), tolerance=0.02)
    assert 1e-2 <= found.value < 1.2e-2


def test_what_is_said() -> None:
    nowhere, everywhere = find("quality>=3", "square"), find("quality<=3", "square")
    assert "was reached nowhere: as far as was seen, it lies outside the range" in nowhere.message
    assert nowhere.value == pytest.approx(1, abs=0.1)
    assert "holds at both ends of the range" in everywhere.message
    assert "one seed, so without an interval" in everywhere.message


def test_a_cell_that_fails_ends_the_search_and_what_has_finished_is_kept() -> None:
    Path("fail").touch()
    with pytest.raises(WalrasError, match=r"the search cannot go on, because x=1.* failed: OSError: an accident"):
        find("quality>=0.5", "square")
    Path("fail").unlink()
    assert find("quality>=0.5", "square").kept == 1


def test_a_figure_that_is_not_measured() -> None:
    with pytest.raises(WalrasError, match="runs do not measure used"):
        find("used<=0.5", "square")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("quality>=0.95*dense", Target("quality", ">=", 0.95, True)), ("metric = 80%", Target("metric", "=", 0.8)),
        ("quality>=dense", Target("quality", ">=", 1.0, True)), ("welfare<=-3e2", Target("welfare", "<=", -300.0)),
    ],
)  # fmt: skip
def test_targets(text: str, target: Target) -> None:
    assert Target.read(text) == target
    assert Target.read(str(target)) == target


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quality", "is none; write quality>=0"), ("quality>0.5", "is none"), ("quality>=", "no number behind >="),
        ("quality>=nan", "no number behind >="), ("welfare>=0.9*dense", "only quality has"),
        ("", "is none"), ("quality>=0.9*sparse", "no number|is none"),
    ],
)  # fmt: skip
def test_what_is_no_target(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Target.read(text)
    with pytest.raises(UnknownNameError, match=re.escape("Did you mean 'quality'")):
        Target.read("qualty>=0.5")


def test_settings_of_a_search() -> None:
    with pytest.raises(InputError, match="tolerance is 0"):
        find("quality>=0.5", "square", tolerance=0)
    with pytest.raises(InputError, match="runs is 2"):
        find("quality>=0.5", "square", runs=2)
    assert not Path("o").exists()
