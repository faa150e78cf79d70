"""Recipes: which valuation, mechanism, schedule and repair go together, as published or as our own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from walras.errors import UnknownNameError
from walras.experiments.config import RunConfig, checked


@final
@dataclass(frozen=True)
class Recipe:
    """Settings of a run by name, and where they come from. A setting may be a function of the budget."""

    source: str
    settings: Mapping[str, Any | Callable[[float], Any]]


def _steps_of_a_tenth(budget: float) -> int:
    """Rounds in which a tenth of the dense model goes each, and at last what is left to go."""
    return math.ceil(round((1 - budget) / 0.1, 6)) if 0 < budget < 1 else 1  # others are refused later


_ONCE: dict[str, Any] = {"mechanism": "ShadowPrice", "rounds": 1, "repair": "none"}

RECIPES: dict[str, Recipe] = {
    "random": Recipe("no knowledge at all", {**_ONCE, "valuation": "random"}),
    "magnitude": Recipe("norm of the output weights (Han et al. 2015)", {**_ONCE, "valuation": "magnitude"}),
    "uniform": Recipe("the same share of every sub-layer, by magnitude", {**_ONCE, "valuation": "uniform"}),
    "michel": Recipe(
        "Michel et al. 2019, arXiv 1905.10650: steps of a tenth by |gradient|, normalised within sub-layers",
        {**_ONCE, "valuation": "michel", "rounds": _steps_of_a_tenth, "schedule": "linear"},
    ),
    "kwon": Recipe(
        "Kwon et al. 2022, arXiv 2204.09656: Fisher values, search, rearrangement within sub-layers, tuning of scales",
        {**_ONCE, "mechanism": "KwonSearch", "valuation": "fisher", "rearranged": True, "repair": "scales"},
    ),
    "k-prune": Recipe(
        "Park et al. 2024, arXiv 2308.03449: knowledge values, one threshold, sub-layer by sub-layer, least squares",
        {**_ONCE, "valuation": "knowledge", "sublayers": True, "repair": "least_squares"},
    ),
    "walras": Recipe(
        "ours: partial Fisher values without labels, taken anew in two rounds, least squares after each",
        {
            **_ONCE,
            "valuation": "partial-fisher",
            "label_free": True,
            "rounds": 2,
            "schedule": "geometric",
            "repair": "least_squares",
        },
    ),
}


def resolved(given: Mapping[str, Any]) -> RunConfig:
    """The settings of a run: what is given, and below that what the recipe says that it names.

    Raises:
        UnknownNameError: an unknown recipe or key.
        InputError: a value that no run takes.
    """
    given = checked(given)
    name = given.get("recipe")
    if name is None:
        return RunConfig(**given)
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    budget = RunConfig(**given).budget
    recipe = {k: v(budget) if callable(v) else v for k, v in RECIPES[name].settings.items()}
    return RunConfig(**{**recipe, **given})
