"""One of each kind from outside: a class in a user's file, named by it, with parameters; no file of ours changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.experiments.registries import registry

OWN = '''
"""One of each kind."""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from walras import Clearing, Mechanism, Strategy, Task, Valuation
from walras.experiments.executors.source import ExecutorSource
from walras.experiments.recipes import Recipe
from walras.experiments.tasks.base import embed, tokenized
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.losses import Embeddings
from walras.market import Phase, Schedule, Scope
from walras.market.pricing import Pricing, Rise
from walras.market.queries import Allocator
from walras.mechanisms import charge
from walras.models.repair import Repair
from walras.models.resources import RESOURCES, Resource, Usage
from walras.models.units.kinds.coarser_kind import CoarserKind
from walras.models.units.kinds.heads import Heads


@dataclass(frozen=True)
class FirstCome(Mechanism):
    """Serves units in the order of the network."""
    start: float = 0.0
    def clear(self, bids, supply, cost):
        price = torch.full_like(supply, self.start)
        wanted = bids.demand(charge(cost, price))
        used = (cost * wanted.unsqueeze(-1)).cumsum(-2)
        return Clearing(wanted * (used <= supply.unsqueeze(-2)).all(-1), price)


@dataclass(frozen=True)
class Depth(Valuation):
    """The deeper, the more valuable."""
    base: float = 1.0
    unit: ClassVar[str] = "layers"
    def __call__(self, calibration, gates, generator):
        return torch.from_numpy(calibration.inventory.layer + self.base)


@dataclass(frozen=True)
class Part(Strategy):
    """Bids a part of the value."""
    share: float = 0.5
    name: ClassVar[str] = "part"
    def bid(self, info, generator):
        return info.value * self.share


@dataclass(frozen=True)
class Late(Schedule):
    """Keeps everything until the last round."""
    first: float = 1.0
    name: ClassVar[str] = "late"
    def shares(self, budget, rounds):
        return [self.first] * (rounds - 1) + [budget]


@dataclass(frozen=True)
class Halves(Scope):
    """One market for the lower half of the layers and one for the upper half."""
    name: ClassVar[str] = "half"
    def markets(self, inventory):
        return np.where(inventory.layer < inventory.layer.max(), "lower", "upper")


@dataclass(frozen=True)
class Count(Phase):
    """Counts the units that were served."""
    weight: float = 1.0
    name: ClassVar[str] = "count"
    done: ClassVar[str] = "counted"
    follows: ClassVar[str] = "clear"
    def run(self, market, turn):
        from dataclasses import replace
        return replace(turn, figures={**turn.figures, "served": self.weight * float((turn.quantity > 0).sum())})


@dataclass(frozen=True)
class Shrink(Repair):
    """Makes every output projection a little smaller."""
    factor: float = 0.99
    def repair_sublayer(self, pruned):
        pruned.projection.weight.data.mul_(self.factor)
        return True


@dataclass(frozen=True)
class Energy(Resource):
    """Joules of one pass."""
    per_mac: float = 1e-12
    name: ClassVar[str] = "energy"
    unit: ClassVar[str] = "J"
    def measure(self, model, inventory, workload, tell=print):
        macs = RESOURCES.make("macs").measure(model, inventory, workload).own
        return Usage.additive_use(self.name, self.unit, inventory, self.per_mac * macs)


@dataclass(frozen=True)
class Groups(CoarserKind):
    """A number of neighbouring heads."""
    size: int = 2
    name: ClassVar[str] = "group"
    letter: ClassVar[str] = "G"
    def sites(self, layer):
        return (self.grouped(site, self.size) for site in Heads().sites(layer))
    def finer(self, site):
        return Heads()


class Spread(Task):
    """Measures how far apart a few sentences lie."""
    name, metric = "spread", "mean distance"
    def __init__(self, texts: int = 4):
        self.texts = ["the cat sat", "a dog ran", "the man played", "an apple is on the mat"][:texts]
    def pool(self):
        return [Example(text) for text in self.texts]
    def objective(self, model, label_free):
        return Embeddings()
    def batch(self, tokenizer, examples, length):
        return tokenized(tokenizer, [e.first for e in examples], None, length)
    def evaluate(self, model, tokenizer, reference, *, batch_size, length):
        found = embed(model, tokenizer, self.texts, batch_size=batch_size, length=length)
        return float(torch.pdist(found).mean())


@dataclass(frozen=True)
class Flat(Pricing):
    """Asks the same price for ever."""
    price: float = 0.1
    def penalty(self, cost, at):
        return self.price * cost


@dataclass(frozen=True)
class Step(Rise):
    """Asks for nothing, and then for the whole price."""
    start: float = 0.5
    def share(self, at, memory):
        return float(at >= self.start)


@dataclass(frozen=True)
class Equal(Allocator):
    """Grants every query the same."""
    part: float = 1.0
    name: ClassVar[str] = "equal"
    def grant(self, queries, bids, budget):
        return np.full(len(queries), self.part * budget / max(len(queries), 1)), None


@dataclass(frozen=True)
class Threads(ExecutorSource):
    """Runs cells in threads of this process."""
    workers: int = 1
    def open(self):
        return ThreadPoolExecutor(self.workers)


MINE = Recipe("Deep units first, without repair.", {"valuation": "magnitude", "rounds": 1, "repair": "none"})
'''
NAMED = {
    "mechanism": "FirstCome:start=0.0", "valuation": "Depth:base=2", "strategy": "Part:share=.25",
    "schedule": "Late:first=1", "scope": "Halves", "phase": "Count:weight=2", "repair": "Shrink:factor=.5",
    "resource": "Energy:per_mac=2e-12", "unit kind": "Groups:size=4", "task": "Spread:texts=3", "recipe": "MINE",
    "pricing": "Flat:price=.3", "rise": "Step:start=.25", "allocator": "Equal:part=.5", "executor": "Threads:workers=2",
}  # fmt: skip
Walras = Callable[..., Any]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The file of somebody else's."""
    file = tmp_path / "own.py"
    file.write_text(OWN, encoding="utf-8")
    return file


@pytest.mark.parametrize("kind", NAMED)
def test_each_kind_is_made_from_a_file_with_its_parameters(kind: str, own: Path) -> None:
    name, _, parameters = NAMED[kind].partition(":")
    made = registry(kind).make(f"{own}:{NAMED[kind]}")
    assert isinstance(made, registry(kind).base)
    for pair in filter(None, parameters.split(",")):
        key, value = pair.split("=")
        told = len(vars(made)[key]) if isinstance(vars(made)[key], list) else vars(made)[key]
        assert float(told) == float(value), name


@pytest.mark.nightly
def test_a_whole_run_of_ones_own(own: Path, walras: Walras, models: Path, no_pictures: None) -> None:
    """Ten kinds in one run, from the command line and again from the file of settings that it wrote."""
    named = {kind: f"{own}:{spec}" for kind, spec in NAMED.items()}
    options = [
        "--recipe", named["recipe"], "--task", named["task"], "--valuation", named["valuation"], "--strategy",
        named["strategy"], "--schedule", named["schedule"], "--phases", named["phase"], "--repair", named["repair"],
        "--units", named["unit kind"], "--units", "ffn:neurons=16", "--mechanism", named["mechanism"],
        "--budget", f"{named['resource']}=0.95", "--rounds", 2,
    ]  # fmt: skip
    answer = walras("run", "--model", models / "bert", *options, "--out", "r", "--json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    assert result["task"] == "spread"
    assert result["kept"].keys() == {"group", "ffn"}
    assert 0 < result["budgets"]["energy"]["used"] <= 0.95
    assert Path("r/weights.safetensors").is_file()
    written = yaml.safe_load(Path("r/config.yaml").read_text())
    assert written["market"]["mechanism"].startswith(f"{own}:FirstCome")
    again = walras("run", "--config", "r/config.yaml", "--code", own, "--out", "again", "--json")
    assert again.code == 0, again.err
    assert {**json.loads(again.out), "seconds": 0} == {**result, "seconds": 0}


@pytest.mark.nightly
def test_an_error_of_ones_own_rule_names_file_and_line(own: Path, walras: Walras, models: Path) -> None:
    own.write_text(OWN.replace("wanted = bids.demand(charge(cost, price))", "wanted = 1 / 0"), encoding="utf-8")
    line = OWN.splitlines().index("        wanted = bids.demand(charge(cost, price))") + 1
    answer = walras(
        "run", "--model", models / "bert", "--recipe", "none", "--mechanism", f"{own}:FirstCome", "--out", "r"
    )
    assert f"own.py, line {line}" in answer.error.replace("\n", "")
    assert "ZeroDivisionError" in answer.error
