"""Settings of a training run: sections, names with parameters, and files of earlier versions."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.agents import VALUATIONS
from walras.errors import InputError, UnknownNameError
from walras.experiments.recipes import RECIPES, Recipe
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.price.settings import STIFF
from walras.experiments.training.stage import TrainPlan
from walras.market.pricing import DualAscent, Rise, Tax
from walras.market.pricing.rises import ByTarget, Constant, Cosine, Cubic, EvenCost, Linear

EARLIER = """
model: sentence-transformers/all-MiniLM-L6-v2
task: stsb
data: null
budget: 0.6
pricing: cleared
price: null
rise: constant
mechanism: ShadowPrice
valuation: partial-fisher
label_free: true
values: false
rounds: 4
schedule: geometric
recipe: null
cost: macs
taxed: both
priced: 0.25
repair: least_squares
epochs: 3
rate: 5.0e-05
travel: 30.0
ascent: 1.0
warmup: 0.1
decay: 0.01
distil: 0.0
held_out: 0.1
patience: 4
limit: null
block: 32
length: 128
sentences: 512
batch_size: 32
seed: 2
device: auto
precision: 'no'
save_every: 200
trust_remote_code: false
"""


def test_a_file_of_an_earlier_version(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(EARLIER, encoding="utf-8")
    config = TrainConfig.read(file, {"budget": 0.4})
    assert (config.economy.gate_logit_range, config.economy.init_gates_by_value) == (30.0, False)
    assert (config.budget, config.seed, config.recipe, config.optimiser.rate) == (0.4, 2, None, 5e-5)
    assert TrainConfig.written(file, {})["gate_logit_range"] == 30.0


def test_a_name_and_its_earlier_one() -> None:
    with pytest.raises(InputError, match="travel is an earlier name of gate_logit_range, and both are given"):
        TrainConfig.parse({"travel": 20.0, "gate_logit_range": 10.0})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"recipe": "K_Prune", "seed": 3},
        {"economy": {"pricing": "Dual-Ascent:fall=0.5"}, "market.rounds": 2, "valuation": "shapley:permutations=64"},
        {"pricing": "tax", "price": 0.5, "rise": "By_Target:gain=30"},
        {"pricing": "tax:price=0.5,rise=cosine:until=1"},
        {"pricing": "tax:price=0.5", "units": "head ffn:neurons=8", "limit": 100},
    ],
)
def test_there_and_back(given: dict[str, Any]) -> None:
    config = TrainConfig.parse(given)
    assert TrainConfig.parse(yaml.safe_load(config.as_yaml())) == config
    assert config.with_values(rate=0.5).optimiser.rate == 0.5
    assert config.with_values(rate=0.5).with_values(rate=config.optimiser.rate) == config


def test_parameters_stand_behind_names() -> None:
    config = TrainConfig.parse({"valuation": "shapley:permutations=64", "mechanism": "shadow-price"})
    made: Any = VALUATIONS.make(config.market.valuation)
    assert made.permutations == 64
    assert config.run_spec().market.mechanism == "ShadowPrice"
    plan = TrainPlan.from_config(TrainConfig.parse({"pricing": "dual-ascent:fall=0.5", "task": "pairs"}))
    assert plan.pricing(1.0) == DualAscent(0.5, 1.0, curvature=STIFF, fall=0.5)
    with pytest.raises(UnknownNameError, match=r"unknown parameter of pricing dual-ascent 'fal'\. Did you mean 'fall'"):
        TrainPlan.from_config(TrainConfig.parse({"pricing": "dual-ascent:fal=0.5", "task": "pairs"}))


@pytest.mark.parametrize(
    ("rise", "made"),
    [
        ("constant", Constant()), ("Linear", Linear()), ("cosine:until=1", Cosine(1.0)), ("even_cost", EvenCost()),
        ("by-target", ByTarget(0.7)), ("by-target:budget=0.6", ByTarget(0.6)), (Cubic(0.3), Cubic(0.3)),
    ],
)  # fmt: skip
def test_a_tax_comes_in_by_a_rise_that_knows_the_budget(rise: Any, made: Rise) -> None:
    given = {"pricing": "tax", "price": 0.5, "rise": rise, "budget": 0.7, "task": "pairs"}
    assert TrainPlan.from_config(TrainConfig.parse(given)).pricing(1.0) == Tax(0.5, made)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rise": "linaer"}, r"unknown rise 'linaer'\. Did you mean 'linear'"),
        ({"pricing": "tax:price=1,rise=linaer"}, r"unknown rise 'linaer'\. Did you mean 'linear'"),
        ({"rise": "cosine:untl=1"}, r"unknown parameter of rise cosine 'untl'\. Did you mean 'until'"),
        ({"rise": "cosine:until=0"}, r"until of rise cosine is 0\.0"),
        ({"pricing": "dual-ascent", "price": None, "rise": "linear"}, "pricing is dual-ascent; only a tax rises"),
    ],
)
def test_rises_that_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainPlan.from_config(TrainConfig.parse({"pricing": "tax", "price": 1.0, "task": "pairs", **given}))


def test_a_recipe_leaves_no_price_and_brings_its_own_market() -> None:
    config = TrainConfig.parse({"recipe": "kwon", "valuation": "random", "budget": 0.6})
    assert config.economy.pricing == "none"
    spec = config.run_spec()
    assert (spec.recipe, spec.market.valuation, spec.market.budget) == ("kwon", "fisher", {"macs": 0.6})
    own = Recipe("Ours.", {"valuation": "magnitude", "rounds": 1})
    given = TrainConfig.parse({"recipe": own})
    assert given.run_spec().market.valuation == "magnitude"
    assert RECIPES["kwon"].name == config.recipe_name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"economy": {"epochs": 3}}, "unknown setting 'economy.epochs'"),
        ({"taxed": 3}, "taxed is 3; it must be of type str"),
        ({"device": "cuda:1"}, "unknown device 'cuda:1'"),
        ({"init_gates_by_value": 1}, "init_gates_by_value is 1; it must be of type bool"),
        ({"budget": "half"}, "budget is 'half'; it must be of type float"),
    ],
)
def test_bad_values(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig.parse(given)
