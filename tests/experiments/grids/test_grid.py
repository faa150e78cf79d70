"""Grids before they run: combinations, labels, keys, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.errors import InputError, UnknownNameError
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.cell import Cell, told
from walras.experiments.grids.grid import Grid

AXES: dict[str, list[Any]] = {"rule": ["a", "b"], "budget": [0.75, 0.5]}


def test_all_combinations_in_order(toys: Any) -> None:
    grid = Grid.from_axes(toys, {"gain": 2}, AXES, 2)
    assert [(c["rule"], c["budget"], c.seed) for c in grid.cells] == [
        (rule, budget, seed) for rule in "ab" for budget in (0.75, 0.5) for seed in (0, 1)
    ]
    assert all((c.settings.rule, c.settings.budget, c.settings.gain) == (c["rule"], c["budget"], 2) for c in grid.cells)
    assert grid.axes == {"rule": ("a", "b"), "budget": (0.75, 0.5)}
    assert (grid.against, grid.shared_budgets, grid.notes) == (Reference("rule", "a"), (0.75, 0.5), ())
    assert len({c.key for c in grid.cells}) == 8
    assert [str(c) for c in grid.cells[:2]] == ["a at 0.75, seed 0", "a at 0.75, seed 1"]


def test_labels_that_do_not_speak_for_themselves_are_told_with_their_axis(toys: Any) -> None:
    grid = Grid.from_axes(toys, {}, {"on": [True, False], "gain": ["1.5"]}, 1, first_seed=3)
    assert [str(c) for c in grid.cells] == ["on=True, gain=1.5, seed 3", "on=False, gain=1.5, seed 3"]
    assert told("recipe", "none") == "recipe=none"
    assert told("recipe", "walras") == "walras"


def test_one_value_is_taken_and_said(toys: Any) -> None:
    grid = Grid.from_axes(toys, {}, {"rule": ["a"], "budget": [0.5]}, 2)
    assert grid.notes == ("rule has one value, a: nothing is compared along it",)


def test_objects_of_one_class_are_told_apart(toys: Any) -> None:
    class Rule:
        def __init__(self, rate: float) -> None:
            self.rate = rate

    grid = Grid.from_axes(toys, {}, {"rule": [Rule(1.0), Rule(2.0)]}, 1)
    assert grid.axes["rule"] == ("Rule", "Rule #2")
    assert len({c.key for c in grid.cells}) == 2


def test_budgets_that_not_every_combination_has(toys: Any) -> None:
    cells = [c for c in Grid.from_axes(toys, {}, AXES, 1).cells if (c["rule"], c["budget"]) != ("b", 0.75)]
    assert Grid(toys, cells, Reference("rule", "a")).shared_budgets == (0.5,)


def test_the_grid_as_a_file(toys: Any) -> None:
    told = yaml.safe_load(Grid.from_axes(toys, {"gain": 2}, AXES, 1, "b").as_yaml())
    assert told["axes"] == {"rule": ["a", "b"], "budget": [0.75, 0.5]}
    assert (told["seeds"], told["against"], told["settings"]) == ([0], {"rule": "b"}, {"gain": 2})
    first = Grid.from_axes(toys, {"gain": 2}, AXES, 1).cells[0]
    assert told["cells"][0] == {"rule": "a", "budget": 0.75, "seed": 0, "cell": first.key}


def test_what_is_refused(toys: Any) -> None:
    for axes, message in (
        ({"rule": ["a", "b", "a"]}, "rule a is given twice; each counts once"),
        ({"budget": ["0.5", "0.50"]}, r"budget 0\.5 and 0\.50 are the same; each counts once"),
        ({"budget": [0.5, 1.5]}, r"budget is 1\.5"),
        ({"seed": [1, 2]}, "seed is no axis"),
    ):
        with pytest.raises(InputError, match=message):
            Grid.from_axes(toys, {}, axes, 1)
    with pytest.raises(UnknownNameError, match=r"unknown axis 'gian'\. Did you mean 'gain'"):
        Grid.from_axes(toys, {}, {"gian": [1]}, 1)
    with pytest.raises(UnknownNameError, match="unknown setting 'hue'"):
        Grid.from_axes(toys, {"hue": 1}, AXES, 1)
    wrong: list[Any] = [0, -1, 1.5, True]
    for seeds in wrong:
        with pytest.raises(InputError, match="seeds is"):
            Grid.from_axes(toys, {}, AXES, seeds)


def test_another_process_with_another_hash_seed_gives_the_same_key() -> None:
    given = {"recipe": "none", "budget": 0.6, "seed": 3, "data": "Größe/€.txt", "model": "m"}
    code = (
        "import sys\nfrom walras.experiments.grids.cell import Cell\nfrom walras.experiments.spec import RunSpec\n"
        f"print(Cell(dict(), 3, RunSpec().with_values(**{given!r})).key)\nassert 'torch' not in sys.modules\n"
    )
    names = set()
    for seed in ("0", "4321"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        names.add(done.stdout.strip())
    assert len(names) == 1


def test_an_edited_file_is_noticed_before_a_cell_runs(toys: Any, here: Path) -> None:
    (here / "rule.py").write_text("a = 1\n", encoding="utf-8")
    cell: Cell[Any] = Grid.from_axes(toys, {}, {"rule": ["rule.py:A"]}, 1).cells[0]
    assert cell.key
    cell.check_sources()
    (here / "rule.py").write_text("a = 2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"rule\.py:A, seed 0 names was edited while the grid was running"):
        cell.check_sources()
