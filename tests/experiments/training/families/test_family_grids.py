"""Grids of families: taxes beside recipes, and the same on several tasks."""

from typing import Any

import pytest

from walras.errors import InputError, UnknownNameError
from walras.experiments.training.families.grids import BUDGETS, family_of_trainings
from walras.experiments.training.families.points import series_of
from walras.experiments.training.families.run import Families
from walras.experiments.training.grid import grid_of_trainings


def test_taxes_and_recipes_do_not_cross() -> None:
    grid = family_of_trainings({"pricing": "tax"}, {"price": [0.1, 0.2], "recipe": ["magnitude"]}, 2)
    assert [(c["recipe"], c["budget"], c.seed) for c in grid.cells] == [
        *((f"tax {price}", 1.0, seed) for price in (0.1, 0.2) for seed in (0, 1)),
        *(("magnitude", budget, seed) for budget in BUDGETS for seed in (0, 1)),
    ]
    assert {c.settings.economy.pricing for c in grid.cells} == {"tax", "none"}
    assert [c.settings.recipe_name for c in grid.cells[:4]] == [None] * 4
    assert series_of(grid.cells[0], ["recipe", "budget"]) == "tax"
    assert series_of(grid.cells[-1], ["recipe", "budget"]) == "magnitude"


@pytest.mark.parametrize(
    ("rise", "budgets", "taxed"),
    [("linear", [0.7, 0.5], [1.0]), ("by-target", [0.7, 0.5], [0.7, 0.5]), ("by-target:budget=0.6", [0.7], [1.0])],
)
def test_taxes_have_a_budget_where_they_rise_to_it(rise: str, budgets: list[float], taxed: list[float]) -> None:
    grid = family_of_trainings({"rise": rise}, {"price": [0.1], "recipe": ["magnitude"], "budget": budgets}, 1)
    assert [c["budget"] for c in grid.cells if c.settings.recipe is None] == taxed
    assert [c["budget"] for c in grid.cells if c.settings.recipe is not None] == budgets
    assert series_of(grid.cells[0], ["recipe"]) == f"tax {rise}"


def test_one_budget_of_the_settings_is_that_of_the_recipes() -> None:
    grid = family_of_trainings({"budget": 0.6}, {"price": [0.1], "recipe": ["magnitude", "random"]}, 1)
    assert [(c["recipe"], c["budget"]) for c in grid.cells] == [("tax 0.1", 1.0), ("magnitude", 0.6), ("random", 0.6)]


@pytest.mark.parametrize("vary", [{"price": [0.1, 0.2]}, {"recipe": ["magnitude", "random"]}, {"budget": [0.5, 0.4]}])
def test_without_both_it_is_a_grid_like_any_other(vary: dict[str, list[Any]]) -> None:
    settings = {"pricing": "tax"} if "price" in vary else {}
    assert family_of_trainings(settings, vary, 1).cells == grid_of_trainings(settings, vary, 1).cells


def test_a_grid_per_task(glue: Any) -> None:
    families = Families.of_tasks({"data": str(glue), "pricing": "tax"}, {"price": [0.1, 0.2]}, 2, ["sst2", "stsb"])
    assert list(families.grids) == ["sst2", "stsb"]
    assert families.cells == 8
    for task, grid in families.grids.items():
        assert {cell.settings.subject.task for cell in grid.cells} == {task}
        assert "task" not in grid.axes  # figures of two tasks are never averaged


@pytest.mark.parametrize(
    ("tasks", "error", "message"),
    [
        (["sst2", "SST_2"], InputError, "task sst2 is given twice"),
        (["sst2", "cla"], UnknownNameError, "Did you mean 'cola'"),
    ],
)
def test_tasks_that_cannot_be(glue: Any, tasks: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Families.of_tasks({"data": str(glue), "pricing": "tax"}, {"price": [0.1, 0.2]}, 1, tasks)


@pytest.mark.parametrize("name", ["rise", "taxed", "priced"])
def test_what_is_about_prices_does_not_vary_beside_recipes(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} varies, which is about prices, and recipes pay none; vary it with"):
        family_of_trainings({}, {"price": [0.1], "recipe": ["magnitude"], name: ["a", "b"]}, 1)
