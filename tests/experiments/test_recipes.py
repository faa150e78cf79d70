"""Recipes are settings, and what is given comes before them."""

import pytest

from walras.agents import VALUATIONS
from walras.errors import InputError, UnknownNameError
from walras.experiments.config import RunConfig
from walras.experiments.recipes import RECIPES, resolved
from walras.market import SCHEDULES
from walras.mechanisms import MECHANISMS
from walras.models.repair.table import REPAIRS


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_names_what_there_is(name: str) -> None:
    config = resolved({"recipe": name, "budget": 0.5})
    assert config.recipe == name
    assert config.valuation in VALUATIONS
    assert config.mechanism in MECHANISMS
    assert config.schedule in SCHEDULES
    assert config.repair in {*REPAIRS, "none"}
    assert RECIPES[name].source


def test_kwon_searches_and_the_others_clear_by_price() -> None:
    found = {name: resolved({"recipe": name}).mechanism for name in RECIPES}
    assert found.pop("kwon") == "KwonSearch"
    assert set(found.values()) == {"ShadowPrice"}


def test_without_a_recipe_nothing_changes() -> None:
    assert resolved({"budget": 0.4, "seed": 3}) == RunConfig(budget=0.4, seed=3)


def test_what_is_given_comes_first() -> None:
    config = resolved({"recipe": "k-prune", "valuation": "fisher", "repair": "none"})
    assert (config.valuation, config.repair, config.sublayers) == ("fisher", "none", True)


@pytest.mark.parametrize(("budget", "rounds"), [(0.95, 1), (0.9, 1), (0.75, 3), (0.6, 4), (0.5, 5), (0.4, 6), (1.0, 1)])
def test_michel_takes_steps_of_a_tenth(budget: float, rounds: int) -> None:
    assert resolved({"recipe": "michel", "budget": budget}).rounds == rounds


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'walrus'\. Did you mean 'walras'"):
        resolved({"recipe": "walrus"})
    with pytest.raises(UnknownNameError, match="unknown config key 'recip'"):
        resolved({"recip": "walras"})
    with pytest.raises(InputError, match="recipe is 3"):
        resolved({"recipe": 3})


def test_a_budget_that_is_none_is_refused_as_elsewhere() -> None:
    assert resolved({"recipe": "michel", "budget": float("nan")}).rounds == 1
