"""Settings of a run: from the command line, a file, names or objects, always the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.errors import InputError, UnknownNameError
from walras.experiments.plan import Plan
from walras.experiments.recipes import Recipe
from walras.experiments.settings.fields import leaves
from walras.experiments.settings.keywords import RunSettings
from walras.experiments.spec import RunSpec, read_budget
from walras.mechanisms import PostedPrice, ShadowPrice


def test_the_default_is_the_best_recipe() -> None:
    spec = RunSpec.parse({})
    assert spec.recipe == "walras"
    assert (spec.market.valuation, spec.market.rounds, spec.market.label_free) == ("partial-fisher", 2, True)
    assert spec.market.budget == {"macs": 0.5}


def test_without_a_recipe_there_are_plain_defaults() -> None:
    spec = RunSpec.parse({"recipe": "none"})
    assert spec.recipe is None
    assert (spec.market.mechanism, spec.market.valuation, spec.market.repair) == ("ShadowPrice", "fisher", "none")
    assert RunSpec.parse(yaml.safe_load(spec.as_yaml())) == spec


@pytest.mark.parametrize("recipe", ["random", "magnitude", "uniform", "michel", "kwon", "k-prune", "walras", "none"])
@pytest.mark.parametrize("budget", [0.5, 0.4])
def test_a_written_config_is_the_same_run_again(recipe: str, budget: float) -> None:
    spec = RunSpec.parse({"recipe": recipe, "budget": budget, "seed": 3, "valuation": "Fisher"})
    assert spec.market.valuation == "fisher"
    assert RunSpec.parse(yaml.safe_load(spec.as_yaml())) == spec
    assert RunSpec.parse({"recipe": "michel", "budget": budget}).market.rounds == (5 if budget == 0.5 else 6)


@pytest.mark.parametrize(
    "given",
    [
        {"mechanism": "posted-price:price=0.25"},
        {"mechanism": {"name": "PostedPrice", "price": 0.25}},
        {"mechanism": PostedPrice(0.25)},
        {"market": {"mechanism": "PostedPrice:price=0.25"}},
        {"market.mechanism": "PostedPrice:price=0.25"},
        {"mechanism": "PostedPrice", "price": 0.25},  # as earlier versions had it
    ],
)
def test_names_mappings_and_objects_are_written_alike(given: dict[str, Any]) -> None:
    spec = RunSpec.parse({**given, "recipe": "none"})
    assert yaml.safe_load(spec.as_yaml())["market"]["mechanism"] == "PostedPrice:price=0.25"


def test_an_object_and_its_name_give_one_yaml() -> None:
    assert (
        RunSpec.parse({"mechanism": ShadowPrice()}).as_yaml() == RunSpec.parse({"mechanism": "shadow_price"}).as_yaml()
    )


@pytest.mark.parametrize(
    ("given", "shares"),
    [
        (0.5, {"macs": 0.5}), ("50%", {"macs": 0.5}), (1, {"macs": 1.0}), (["0.4"], {"macs": 0.4}),
        (["macs=0.5", "latency=60%"], {"macs": 0.5, "latency": 0.6}), ({"bytes": 0.3}, {"bytes": 0.3}),
    ],
)  # fmt: skip
def test_budgets(given: Any, shares: dict[str, float]) -> None:
    assert read_budget("budget", given) == shares


@pytest.mark.parametrize("given", ["half", None, True, {}, [], ["0.5", "0.4"], ["macs=0.5", "macs=0.4"], {"macs": "x"}])
def test_budgets_that_are_none(given: Any) -> None:
    with pytest.raises(InputError, match="budget"):
        read_budget("budget", given)


def test_an_earlier_config_is_read() -> None:
    earlier = {
        "model": "m", "task": "stsb", "data": "glue", "mechanism": "KwonSearch", "price": None, "valuation": "fisher",
        "strategy": "truthful", "endowment": 0.0, "recipe": "kwon", "budget": 0.5, "resource": "macs", "besides": None,
        "latency_batch": 32, "latency_table": None, "rounds": 1, "schedule": "geometric", "shock": None,
        "scope": "global", "sublayers": False, "rearranged": True, "repair": "scales", "label_free": False,
        "probes": 8, "reentry": False, "block": 32, "length": 128, "sentences": 512, "batch_size": 32, "seed": 1,
        "device": "auto", "trust_remote_code": False,
    }  # fmt: skip
    now = RunSpec.parse({"recipe": "kwon", "model": "m", "task": "stsb", "data": "glue", "budget": 0.5, "seed": 1})
    assert RunSpec.parse(earlier) == now
    several = RunSpec.parse({**earlier, "resource": "latency", "budget": 0.6, "besides": {"macs": 0.5}})
    assert several.market.budget == {"latency": 0.6, "macs": 0.5}
    assert RunSpec.parse({**earlier, "sublayers": True, "rearranged": False}).market.phases == ("sublayer-sessions",)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"budgets": 0.5}, UnknownNameError, "Did you mean 'budget'"),
        ({"mechanism": "ShadowPrize"}, UnknownNameError, "Did you mean 'ShadowPrice'"),
        ({"recipe": "walrus"}, UnknownNameError, "Did you mean 'walras'"),
        ({"budget": "power=0.5"}, UnknownNameError, "unknown resource 'power'"),
        ({"rounds": 0}, InputError, "rounds is 0"),
        ({"seed": -1}, InputError, "seed is -1"),
        ({"phases": ["swap"]}, UnknownNameError, "unknown phase 'swap'"),
        ({"valuation": "nowhere.py:Mine"}, InputError, "does not exist"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_loaded(given: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error) as raised:
        Plan.from_spec(RunSpec.parse(given))
    assert told in str(raised.value)


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("about: Mine.\nvaluation: magnitude\nrounds: 3\nphases: [swap-refinement]\n", encoding="utf-8")
    spec = RunSpec.parse({"recipe": str(file), "rounds": 7})
    assert (spec.recipe, spec.market.valuation, spec.market.rounds) == (str(file), "magnitude", 7)
    python = tmp_path / "mine.py"
    python.write_text(
        "from walras.experiments.recipes import Recipe\n"
        "MINE = Recipe('Mine.', {'rounds': lambda share: int(10 * share)})\n",
        encoding="utf-8",
    )
    assert RunSpec.parse({"recipe": f"{python}:MINE", "budget": 0.7}).market.rounds == 7
    assert RunSpec.parse({"recipe": Recipe("Mine.", {"rounds": 5})}).market.rounds == 5
    file.write_text("budget: 0.4\n", encoding="utf-8")
    with pytest.raises(InputError, match="belong to the run"):
        RunSpec.parse({"recipe": str(file)})


def test_the_keywords_of_python_are_the_settings() -> None:
    assert set(RunSettings.__annotations__) == set(leaves(RunSpec)) - {"model", "data"}
