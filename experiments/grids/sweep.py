"""What a comparison runs: recipes x budgets x seeds, each cell one run with its settings resolved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import yaml

from walras.errors import InputError, UnknownNameError
from walras.experiments.config import RunConfig, checked
from walras.experiments.grids.cell import Cell
from walras.experiments.recipes import resolved
from walras.experiments.run import Plan
from walras.market.schedule import check_budget
from walras.models.loading import find, torch_device

OWN = {
    "recipe": "--recipe",
    "budget": "--budget",
    "seed": "--seeds",
}  # settings in which cells differ, and their options
OURS = "walras"  # compared against where nothing else is named


@final
@dataclass(frozen=True)
class Sweep:
    """A comparison before anything runs; `of` checks all that can be checked without a network."""

    recipes: Sequence[str]
    budgets: Sequence[float]
    seeds: int
    against: str
    settings: Mapping[str, Any]  # given to all cells
    cells: Sequence[Cell[RunConfig]]

    @staticmethod
    def of(
        recipes: Sequence[str],
        budgets: Sequence[float],
        seeds: int,
        settings: Mapping[str, Any] | None = None,
        against: str | None = None,
    ) -> "Sweep":
        """Resolve all cells: recipes in the order given, budgets from the largest down, seeds from 0.

        Args:
            recipes: names; each once.
            budgets: shares of the dense model's compute; each once.
            seeds: how many draws of the calibration data.
            settings: of `RunConfig`, for all cells; they go before a recipe's own.
            against: recipe that the others are compared with; else `walras`, or the last one where that is absent.

        Raises:
            InputError: whatever is wrong, before a network is loaded or a file written.
        """
        settings = checked(settings or {})
        for name, option in OWN.items():
            if name in settings:
                raise InputError(f"{name} is {settings[name]!r} among the settings for all cells; give it as {option}")
        for kind, names, example in (("recipe", recipes, "walras"), ("budget", budgets, "0.5")):
            if not names:
                raise InputError(f"no {kind} is given; name at least one: --{kind} {example}")
        if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
            raise InputError(f"seeds is {seeds!r}; it must be a whole number of at least 1")
        falling = sorted((check_budget(budget) for budget in budgets), reverse=True)
        cells = [
            Cell(name, resolved({**settings, "recipe": name, "budget": budget, "seed": seed}))
            for name in recipes
            for budget in falling
            for seed in range(seeds)
        ]
        _once("recipe", recipes)
        _once("budget", [f"{budget:g}" for budget in budgets])
        if against is None:
            against = OURS if OURS in recipes else recipes[-1]
        if against not in recipes:
            raise UnknownNameError("recipe to compare against", against, recipes)
        for cell in cells:
            if cell.seed == 0:
                Plan.of(cell.config)
        for model, device in {(cell.config.model, cell.config.device) for cell in cells}:
            find(model)
            torch_device(device)
        return Sweep(tuple(recipes), tuple(falling), seeds, against, settings, tuple(cells))

    def as_yaml(self) -> str:
        """The comparison as `compare.yaml` has it."""
        cells = [{"recipe": c.recipe, "budget": c.budget, "seed": c.seed, "cell": c.key} for c in self.cells]
        told = {
            "recipes": list(self.recipes), "budgets": list(self.budgets), "seeds": self.seeds, "against": self.against,
            "settings": dict(self.settings), "cells": cells,
        }  # fmt: skip
        return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def _once(kind: str, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError(f"{kind} {name} is given twice; each counts once")
