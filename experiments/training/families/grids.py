"""The grid of a family: models under several taxes and, beside them, post-hoc baselines at several budgets."""

from collections.abc import Mapping, Sequence
from typing import Any

from walras.errors import InputError
from walras.experiments.grids.axes import RECIPE
from walras.experiments.grids.cell import BUDGET
from walras.experiments.grids.grid import Grid
from walras.experiments.settings.fields import leaves
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.grid import chosen_trainings, grid_of_trainings
from walras.experiments.training.sections import CONSTANT, EconomySpec
from walras.market.pricing import RISES

PRICE, RISE = "price", "rise"
BUDGETS = (0.8, 0.6, 0.4)
"""Of post-hoc baselines, where none are given."""


def family_of_trainings(
    settings: Mapping[str, Any], vary: Mapping[str, Sequence[Any]], seeds: int, against: str | None = None
) -> Grid[TrainConfig]:
    """As `grid_of_trainings`; but prices and recipes do not cross: taxes first, and then every recipe at every budget.

    A tax leads to no budget, so that these cells have the budget 1, unless `settings` or `vary` name one and the rise
    of the tax needs it.

    Args:
        settings: of all runs.
        vary: values by setting.
        seeds: how many.
        against: the reference, as there.

    Raises:
        InputError, UnknownNameError: wrong settings, a value that is given twice.
    """
    if not (vary.get(PRICE) and vary.get(RECIPE)):
        return grid_of_trainings(settings, vary, seeds, against)
    own = [settings[BUDGET]] if BUDGET in settings else BUDGETS
    budgets = vary.get(BUDGET) or own
    shared = {name: value for name, value in settings.items() if name not in (BUDGET, RECIPE, PRICE)}
    axes = {name: values for name, values in vary.items() if name not in (BUDGET, RECIPE, PRICE)}
    if about := [name for name in axes if name in leaves(EconomySpec)]:
        raise InputError(f"{about[0]} varies, which is about prices, and recipes pay none; vary it without --recipe")
    taxed = {**axes, PRICE: vary[PRICE], BUDGET: budgets if _to_budget(shared.get(RISE, CONSTANT)) else [1.0]}
    taxes = grid_of_trainings({"pricing": "tax", **shared}, taxed, seeds)
    untaxed = {name: value for name, value in shared.items() if name not in ("pricing", RISE)}
    recipes = grid_of_trainings(untaxed, {**axes, RECIPE: vary[RECIPE], BUDGET: budgets}, seeds)
    return chosen_trainings([*taxes.cells, *recipes.cells], against)


def _to_budget(rise: Any) -> bool:
    """Whether a tax with this rise goes to the budget of the settings."""
    return RISES.make(rise, budget=0.5) != RISES.make(rise, budget=1.0)
