"""Settings of a run: from the command line, a file, names or objects, always the same."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.agents import STRATEGIES, Shading, Truthful
from walras.agents.strategies import Mixture
from walras.errors import InputError, UnknownNameError
from walras.experiments.plan import Plan
from walras.experiments.recipes import Recipe
from walras.experiments.settings.fields import leaves
from walras.experiments.settings.keywords import RunSettings
from walras.experiments.spec import RunSpec, read_budget
from walras.market.schedule import NumbersFile
from walras.mechanisms import PostedPrice, ShadowPrice


def test_the_default_is_the_best_recipe() -> None:
    spec = RunSpec.parse({})
    assert spec.recipe == "walras"
    assert (spec.market.valuation, spec.market.rounds, spec.market.label_free) == ("partial-fisher", 1, True)
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


OWN = """
from dataclasses import dataclass
from typing import ClassVar
from walras import Strategy

@dataclass(frozen=True)
class Hedge(Strategy):
    name: ClassVar[str] = "mine"
    factor: float = 0.5
    text: str = "x"
    many: tuple[float, ...] = (1.0,)

    def bid(self, info, generator):
        return info.value * self.factor
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the user's with a class that is called as one of ours."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_hedge.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_hedge")
    del sys.modules["own_hedge"]


def reread(**given: Any) -> RunSpec:
    return RunSpec.parse(yaml.safe_load(RunSpec.parse(given).as_yaml()))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"factor": 0.25},
        {"text": "a,b"},
        {"text": ""},
        {"text": " a "},
        {"text": "a=0.5+truthful=0.5"},
        {"many": ()},
    ],
)
def test_an_object_of_the_users_is_read_back_from_its_file(own: Any, parameters: dict[str, Any]) -> None:
    found = STRATEGIES.make(reread(strategy=own.Hedge(**parameters)).market.strategy)
    assert type(found).__module__ == "walras_user_own_hedge"
    assert vars(found) == vars(own.Hedge(**parameters))


def test_an_object_within_a_mixture_is_read_back_from_its_file(own: Any) -> None:
    found = STRATEGIES.make(reread(strategy=Mixture((Truthful(), own.Hedge(0.25)), (0.5, 0.5))).market.strategy)
    assert [vars(part) for part in found.parts] == [{}, vars(own.Hedge(0.25))]  # type: ignore[attr-defined]


def test_what_no_text_makes_again_is_refused_when_it_is_read(own: Any) -> None:
    class Hedge(Truthful):  # type: ignore[misc]  # in no module
        pass

    nested = Mixture((Mixture((Truthful(), Shading()), (0.5, 0.5)), Truthful()), (0.5, 0.5))
    for given, name in ((Hedge(), r".*Hedge of test_spec\.py"), (nested, r"Mixture of mixture\.py")):
        with pytest.raises(
            InputError, match=rf"config\.yaml cannot be read back because the strategy, class {name}, was"
        ):
            reread(strategy=given)


def test_a_file_of_numbers_is_read_back(own: Any) -> None:
    assert reread(schedule=NumbersFile("s.txt")).market.schedule == "s.txt"
    assert reread(schedule={"name": "s.txt"}).market.schedule == "s.txt"
    with pytest.raises(InputError, match=r"schedule s\.txt takes no parameters \(given: at\)"):
        reread(schedule={"name": "s.txt", "at": 1})


@pytest.mark.parametrize("text", ["a,b", "a=b", "", " a ", "a\nb", "a+b", "1", "true"])
def test_values_that_no_text_can_say_stay_a_mapping(own: Any, text: str) -> None:
    found = reread(strategy={"name": "own_hedge.py:Hedge", "text": text})
    assert STRATEGIES.make(found.market.strategy).text == text  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"text of strategy own_hedge\.py:Hedge is <object.*give an object"):
        reread(strategy={"name": "own_hedge.py:Hedge", "text": object()})


def test_a_mapping_with_a_name_alone_is_that_name() -> None:
    assert reread(repair={"name": "none"}, recipe="none").market.repair == "none"


def test_an_earlier_price_beside_a_mechanism() -> None:
    assert RunSpec.parse({"price": 0.002, "mechanism": {"name": "PostedPrice"}}).market.mechanism == (
        "PostedPrice:price=0.002"
    )
    assert RunSpec.parse({"price": 0.002}).market.mechanism == "PostedPrice:price=0.002"
    for given in (PostedPrice(), {"name": "PostedPrice", "price": 1}):
        with pytest.raises(InputError, match=r"price is 0\.002 beside mechanism .*PostedPrice"):
            RunSpec.parse({"price": 0.002, "mechanism": given})
