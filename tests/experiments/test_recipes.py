"""Recipes are settings, and what is given comes before them."""

from typing import Any

import pytest

from walras.errors import InputError, UnknownNameError
from walras.experiments.plan import Plan
from walras.experiments.recipes import RECIPES, Recipe, find_recipe
from walras.experiments.spec import RunSpec


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_names_what_there_is(name: str) -> None:
    plan = Plan.from_spec(RunSpec.parse({"recipe": name, "budget": 0.5}))
    assert plan.spec.recipe == name
    assert RECIPES[name].about.endswith(".")


def test_kwon_searches_and_the_others_clear_by_price() -> None:
    found = {name: RunSpec.parse({"recipe": name}).market.mechanism for name in RECIPES}
    assert found.pop("kwon") == "KwonSearch"
    assert set(found.values()) == {"ShadowPrice"}


def test_what_one_recipe_needs_is_a_phase_of_that_recipe() -> None:
    phases = {name: RunSpec.parse({"recipe": name}).market.phases for name in RECIPES}
    assert phases.pop("k-prune") == ("sublayer-sessions",)
    assert phases.pop("kwon") == ("swap-refinement",)
    assert phases.pop("sleb") == ("layer-by-layer",)
    assert phases.pop("ziplm") == ("spdy",)
    assert phases.pop("osscar") == ("sublayer-sessions", "osscar")
    assert phases.pop("evopress") == ("evopress",)
    assert set(phases.values()) == {()}


def test_what_is_given_comes_first() -> None:
    market = RunSpec.parse({"recipe": "k-prune", "valuation": "fisher", "repair": "none"}).market
    assert (market.valuation, market.repair, market.phases) == ("fisher", "none", ("sublayer-sessions",))
    assert RunSpec.parse({"recipe": "k-prune", "phases": []}).market.phases == ()


@pytest.mark.parametrize(("budget", "rounds"), [(0.95, 1), (0.9, 1), (0.75, 3), (0.6, 4), (0.5, 5), (0.4, 6), (1.0, 1)])
def test_michel_takes_steps_of_a_tenth(budget: float, rounds: int) -> None:
    assert RunSpec.parse({"recipe": "michel", "budget": budget}).market.rounds == rounds


@pytest.mark.parametrize("name", ["none", "None", None])
def test_no_recipe(name: Any) -> None:
    assert find_recipe(name) is None


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'walrus'\. Did you mean 'walras'"):
        RunSpec.parse({"recipe": "walrus"})
    with pytest.raises(UnknownNameError, match="unknown setting 'recip'"):
        RunSpec.parse({"recip": "walras"})
    with pytest.raises(InputError, match="recipe is 3"):
        RunSpec.parse({"recipe": 3})


def test_a_budget_that_is_none_is_refused_later() -> None:
    spec = RunSpec.parse({"recipe": "michel", "budget": float("nan")})
    with pytest.raises(InputError, match="budget is nan"):
        Plan.from_spec(spec)


def test_a_setting_that_a_recipe_misspells_is_named() -> None:
    with pytest.raises(InputError, match=r"recipe mine: unknown setting 'budgt'\. Did you mean 'budget'"):
        RunSpec.parse({"recipe": Recipe("Mine.", {"valuation": "fisher", "budgt": 3}, name="mine")})
