"""Recipes: which valuation, mechanism, schedule, phases and repair go together, as published or as our own.

A recipe of a user's own is an object in FILE.py, named FILE.py:NAME, or a file FILE.yaml with its settings.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from walras.errors import InputError
from walras.experiments.settings.fields import read_settings
from walras.registry import Registry, normalised

DEFAULT_RECIPE = "walras"
NO_RECIPE = "none"


@final
@dataclass(frozen=True)
class Recipe:
    """Settings of a market by name, and where they come from. A setting may be a function of the budget's share."""

    about: str  # a whole sentence
    settings: Mapping[str, Any | Callable[[float], Any]]
    source: str = ""
    name: str = field(default="", compare=False)  # under which it is known

    def resolved(self, share: float) -> dict[str, Any]:
        """Its settings at a budget."""
        return {key: value(share) if callable(value) else value for key, value in self.settings.items()}


RECIPES: Registry[Recipe] = Registry("recipe", Recipe)


def find_recipe(given: "str | Recipe | None") -> Recipe | None:
    """The recipe of that name, FILE.py:NAME or FILE.yaml; an object as it is; None for `none`.

    Raises:
        UnknownNameError: an unknown recipe.
        InputError: a file that holds none.
    """
    if given is None or (isinstance(given, str) and normalised(given) == NO_RECIPE):
        return None
    if isinstance(given, Recipe):
        return given if given.name else _named(given, "own")
    if isinstance(given, str) and Path(given).suffix in (".yaml", ".yml"):
        settings = dict(read_settings(given))
        about, source = (str(settings.pop(key, "")) for key in ("about", "source"))
        if "recipe" in settings or "budget" in settings:
            raise InputError(f"recipe file {given!r} sets recipe or budget, which belong to the run")
        return Recipe(about, settings, source, given)
    found = RECIPES.make(given)
    return found if found.name else _named(found, str(given))


def _named(recipe: Recipe, name: str) -> Recipe:
    return Recipe(recipe.about, recipe.settings, recipe.source, name)


def steps_of_a_tenth(share: float) -> int:
    """Rounds in each of which a tenth of the dense model leaves, and in the last one what is left to leave."""
    return math.ceil(round((1 - share) / 0.1, 6)) if 0 < share < 1 else 1  # others are refused later


def _once(valuation: str, **more: Any) -> dict[str, Any]:
    """One clearing by `ShadowPrice`, without repair."""
    return {"mechanism": "ShadowPrice", "rounds": 1, "repair": "none", "valuation": valuation, **more}


for _recipe in (
    Recipe(
        "Our own: partial Fisher values of single neurons, without labels, once; least squares on many tokens.",
        _once("partial-fisher", block=1, label_free=True, repair="least_squares:tokens_per_feature=24,experts=true"),
        name="walras",
    ),
    Recipe(
        "Knowledge values, one threshold, sub-layer by sub-layer, least squares.",
        _once("knowledge", phases=("sublayer-sessions",), repair="least_squares"),
        "Park et al. 2024, arXiv 2308.03449",
        "k-prune",
    ),
    Recipe(
        "Fisher values, a search, swaps within sub-layers, tuned scales.",
        _once("fisher", mechanism="KwonSearch", phases=("swap-refinement",), repair="scales"),
        "Kwon et al. 2022, arXiv 2204.09656",
        "kwon",
    ),
    Recipe(
        "Steps of a tenth by the absolute gradient, normalised within sub-layers.",
        _once("michel", rounds=steps_of_a_tenth, schedule="linear"),
        "Michel et al. 2019, arXiv 1905.10650",
        "michel",
    ),
    Recipe(
        "How much units vary, standardised within sub-layers, once; what leaves is replaced by its mean.",
        _once("fluctuation", block=1, repair="means"),
        "An et al. 2024 (FLAP), arXiv 2312.11983",
        "flap",
    ),
    Recipe(
        "Sizes of weights times sizes of what they multiply, the same share of every sub-layer, once.",
        _once("wanda-sp", block=1),
        "Sun et al. 2024, arXiv 2306.11695, for whole units as by An et al. 2024, arXiv 2312.11983",
        "wanda-sp",
    ),
    Recipe(
        "Whole sub-layers, layer by layer, those first that turn the hidden state least; no repair.",
        _once("block-influence", units=("block",)),
        "Men et al. 2024 (ShortGPT), arXiv 2403.03853",
        "shortgpt",
    ),
    Recipe(
        "Whole layers one by one, each time the one without which the loss is least; no repair.",
        _once("layer-loss", units=("block",), phases=("layer-by-layer",)),
        "Song et al. 2024 (SLEB), arXiv 2402.09025",
        "sleb",
    ),
    Recipe(
        "Errors of structured OBS, a dynamic program over levels whose weights are searched by the loss.",
        _once("obs-errors", block=1, phases=("spdy",), repair="structured_obs:sequential=false"),
        "Kurtic et al. 2023 (ZipLM), arXiv 2302.04089",
        "ziplm",
    ),
    Recipe(
        "The same share of every sub-layer, from the bottom up; units by structured OBS and swaps.",
        _once("uniform", block=1, phases=("sublayer-sessions", "osscar"), repair="structured_obs"),
        "Meng et al. 2024 (OSSCAR), arXiv 2403.12983",
        "osscar",
    ),
    Recipe(
        "Levels of structured OBS, switched between sub-layers where the divergence from the dense network falls.",
        _once("uniform", block=1, phases=("evopress",), repair="structured_obs:sequential=false"),
        "Sieberling et al. 2025 (EvoPress), arXiv 2410.14649",
        "evopress",
    ),
    Recipe(
        "What experts add to their tokens; of every layer the same share of its experts leaves, once; no repair.",
        _once("reap", units=("expert",), scope="sublayer"),
        "Lasby et al. 2025 (REAP), arXiv 2510.13999",
        "reap",
    ),
    Recipe("The norm of the output weights, once.", _once("magnitude"), "Han et al. 2015", "magnitude"),
    Recipe("The same share of every sub-layer, by magnitude.", _once("uniform"), name="uniform"),
    Recipe("No knowledge at all: units drawn at random.", _once("random"), name="random"),
):
    RECIPES.add(_recipe)
