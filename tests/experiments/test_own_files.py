"""Rules, valuations, strategies and tasks from the user's file: in whole runs, and every way in which they fail."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from walras.experiments.store.run_folder import read_allocation
from walras.market import read_trace

Walras = Callable[..., Any]

OWN = '''
"""All four kinds in one file."""
from dataclasses import dataclass
import numpy as np
import torch
from walras import Clearing, Mechanism, Strategy, Valuation
from walras.mechanisms import charge

@dataclass(frozen=True)
class FirstCome(Mechanism):
    def clear(self, bids, supply, cost):
        price = torch.zeros_like(supply)
        wanted = bids.demand(charge(cost, price))
        used = (cost * wanted.unsqueeze(-1)).cumsum(-2)
        served = wanted * (used <= supply.unsqueeze(-2)).all(-1)
        return Clearing(served, price)

class Depth(Valuation):
    """The deeper, the more valuable."""
    unit = "$ a layer"
    def __call__(self, calibration, gates, generator):
        return torch.from_numpy(calibration.inventory.layer + 1.0)

class Half(Strategy):
    name = "half"
    def bid(self, known, generator):
        return known.value / 2
'''
TASK = '''
import torch
from walras import Task
from walras.experiments.tasks.base import embed, tokenized
from walras.experiments.tasks.losses import Embeddings
from walras.experiments.tasks.data.rows import Example

class Spread(Task):
    """How far apart do a few sentences lie?"""
    name, metric = "spread", "mean distance"
    def __init__(self, data="a cat|a dog|the man ran"):
        self.texts = data.split("|")
    def pool(self):
        return [Example(text) for text in self.texts]
    def objective(self, model, label_free):
        return Embeddings()
    def batch(self, tokenizer, examples, length):
        return tokenized(tokenizer, [e.first for e in examples], None, length)
    def evaluate(self, model, tokenizer, reference, *, batch_size, length):
        found = embed(model, tokenizer, self.texts, batch_size=batch_size, length=length)
        return float(torch.pdist(found).mean())
'''
OWN += TASK
RULE = "from walras import Mechanism, Valuation, Strategy, Task\nimport torch\n"


@pytest.fixture
def run(walras: Walras, models: Path, lines: Path, no_pictures: None) -> Walras:
    """`walras run` on the tiny encoder and text; later options win."""

    def start(*options: object) -> Any:
        base = ("--model", models / "bert", "--task", "text", "--data", lines, "--rounds", 2, "--out", "r", "--json")
        return walras("run", *base, "--recipe", "none", *options)

    return start


@pytest.mark.nightly
def test_all_four_kinds(walras: Walras, models: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    kinds = {"mechanism": "FirstCome", "valuation": "Depth", "strategy": "Half", "task": "Spread"}
    options = [part for kind, name in kinds.items() for part in (f"--{kind}", f"{file}:{name}")]
    answer = walras(
        "run", "--model", models / "bert", *options, "--rounds", 1, "--out", "r", "--json", "--recipe", "none"
    )
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    assert result["mechanism"] == f"{file}:FirstCome"
    assert result["valuation"] == f"{file}:Depth"
    assert (result["task"], result["strategy"], result["unit"]) == ("spread", f"{file}:Half", "$ a layer")
    assert result["metric"]["name"] == "mean distance"
    assert 0 < result["metric"]["dense"] < 2
    assert result["revenue"] == 0

    trace = read_trace("r")
    assert trace["value"].tolist() == [1.0] * 6 + [2.0] * 6
    assert trace["bid"].tolist() == [0.5] * 6 + [1.0] * 6
    assert set(trace["strategy"]) == {"half"}
    assert read_allocation("r")["gate"].tolist() == [1.0] * 6 + [0.0] * 6  # 4 heads of 3/32, 2 blocks of 1/16

    line = ("run", "--config", "r/config.yaml", "--code", file, "--data", "a mat|the house", "--out", "s", "--json")
    other = walras(*line)
    assert json.loads(other.out)["metric"]["dense"] != result["metric"]["dense"]
    check = walras("check", f"{file}:FirstCome", "--instances", 6)
    assert check.code == 0, check.out


def test_check_tells_how_a_rule_fails(walras: Walras, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    greedy = OWN.replace("served = wanted *", "served = wanted + 0 *")
    file.write_text(greedy)
    answer = walras("check", f"{file}:FirstCome", "--instances", 6, "--json")
    assert answer.code == 1
    (first, *_) = json.loads(answer.out)
    assert not first["passed"]
    assert "handed out" in first["detail"]
    screen = walras("check", f"{file}:FirstCome", "--instances", 6)
    assert screen.code == 1
    assert "NO" in screen.out


def test_more_than_the_supply_ends_the_run(run: Walras, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN.replace("served = wanted *", "served = wanted + 0 *"))
    assert "FirstCome handed out 1 of a supply of 0.707107" in run("--mechanism", f"{file}:FirstCome").error
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("kind", ["mechanism", "valuation", "strategy", "task"])
@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        (None, "own.py:Mine", r"(\w+) file '.*own\.py' does not exist"),
        (
            "import nothing_like_it\nclass Mine: ...",
            "own.py:Mine",
            r"not import.*: ModuleNotFoundError: .*nothing_like_it",
        ),
        ("class Mine(:", "own.py:Mine", r"does not import: SyntaxError: invalid syntax"),
        ("raise SystemExit(0)", "own.py:Mine", r"does not import.*: SystemExit: 0"),
        ("raise ValueError('a\\nb')", "own.py:Mine", r"does not import.*: ValueError: a b$"),
        (
            "class Mine(BASE): ...",
            "own.py:Mien",
            r"unknown \w+ in .*own\.py 'Mien'\. Did you mean 'Mine'\? Known: Mine\.",
        ),
        ("class Mine(BASE): ...", "own.py", r"which \w+ of .*own\.py\? Write .*own\.py:Mine$"),
        ("x = 1", "own.py:Mine", r"own\.py defines no subclass of walras\.\w+\.\S+$"),
        ("class Mine: ...", "own.py:Mine", r"own\.py:Mine is no \w+: it must be derived from \w+ \(walras\.\S+\)"),
        ("class Mine(BASE): ...", "own.py:Mine", r"own\.py:Mine is abstract: it has to define \w+"),
        ("class Mine(BASE):\n DEFINES\n def __init__(self, x): ...", "own.py:Mine", r"Mine needs a value for x"),
        (
            "class Mine(BASE):\n DEFINES\n def __init__(self): 1 / 0",
            "own.py:Mine",
            r"Mine cannot be made \(.*own\.py, line \d+\): ZeroDivision",
        ),
    ],
)
def test_broken_files(walras: Walras, tmp_path: Path, kind: str, body: str | None, name: str, message: str) -> None:
    if body is not None:
        needed = {
            "mechanism": "clear = 0", "valuation": "__call__ = 0", "strategy": "bid = 0",
            "task": "pool = objective = evaluate = batch = 0",
        }  # fmt: skip
        (tmp_path / "own.py").write_text(
            RULE + body.replace("BASE", kind.capitalize()).replace("DEFINES", needed[kind])
        )
    found = walras("run", f"--{kind}", tmp_path / name).error
    assert re.search(message, found), found
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "body", "lacks"),
    [("valuation", "__call__ = 0", "unit"), ("strategy", "bid = 0", "name"),
     ("task", "pool = objective = evaluate = batch = 0; metric = 'm'", "name")],
)  # fmt: skip
def test_what_a_class_must_state(walras: Walras, tmp_path: Path, kind: str, body: str, lacks: str) -> None:
    (tmp_path / "own.py").write_text(f"{RULE}class Mine({kind.capitalize()}):\n {body}")
    message = walras("run", f"--{kind}", f"{tmp_path}/own.py:Mine").error
    assert message == f'{kind} Mine has no {lacks}; it needs a line like {lacks} = "..."'


def test_data_for_a_task_that_takes_none(run: Walras, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"{RULE}class Mine(Task):\n pool = objective = evaluate = batch = 0")
    assert run("--task", f"{tmp_path}/own.py:Mine").error.endswith("own.py:Mine takes no data; it takes nothing")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("torch.full_like(gates, float('nan'))", "Mine values L0.H0 at nan; values must be finite numbers"),
        ("gates / torch.tensor([1.0] * 6 + [0.0] * 6)", "Mine values L1.H0 at inf; values must be finite numbers"),
        ("gates[1:]", r"Mine returned values of shape \(11,\) for 12 units"),
    ],
)
def test_values_that_are_no_numbers(run: Walras, tmp_path: Path, value: str, message: str) -> None:
    body = f"class Mine(Valuation):\n unit = 'u'\n def __call__(self, calibration, gates, generator):\n  return {value}"
    (tmp_path / "own.py").write_text(RULE + body)
    assert re.search(message, run("--valuation", f"{tmp_path}/own.py:Mine").error)
    assert list(Path().iterdir()) == []


def test_bids_that_are_no_numbers(run: Walras, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        f"{RULE}class Mine(Strategy):\n name = 'mine'\n def bid(self, known, generator):\n  return known.value / 0"
    )
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        message = run("--strategy", f"{tmp_path}/own.py:Mine").error
    assert message == "L0.H0 (mine) bids inf; bids must be finite, and at most 1.27e+30"
    assert list(Path().iterdir()) == []


def test_a_loss_that_is_no_number(run: Walras, tmp_path: Path) -> None:
    spoilt = TASK.replace("return Embeddings()", "return Spoilt()") + (
        "from walras.models.objective import Objective\n"
        "class Spoilt(Objective):\n unit = 'u'\n"
        " def __call__(self, model, batch, generator):\n"
        "  return model(**batch).last_hidden_state.sum() * float('nan')\n"
    )
    (tmp_path / "own.py").write_text(spoilt)
    message = run("--task", f"{tmp_path}/own.py:Spread").error
    assert message == "the loss of a calibration batch is nan; it must be finite"
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("place", ["clear", "__init__"])
def test_a_rule_that_exits_fails(walras: Walras, models: Path, lines: Path, place: str) -> None:
    """An exit code of 0 would say that all went well."""
    head = "import sys\nfrom walras import Clearing, Mechanism\nclass Mine(Mechanism):\n"
    body = {
        "clear": " def clear(self, bids, supply, cost):\n  sys.exit(0)\n",
        "__init__": " def __init__(self):\n  sys.exit(0)\n def clear(self, bids, supply, cost):\n  pass\n",
    }
    Path("own.py").write_text(head + body[place])
    checked = walras("check", "own.py:Mine", "--json")
    assert checked.code == (1 if place == "clear" else 2), checked
    assert "own.py, line 5" in checked.out + checked.err
    told = walras("run", "--model", models / "bert", "--task", "text", "--data", lines, "--mechanism", "own.py:Mine",
                  "--recipe", "none", "--valuation", "magnitude", "--length", 16)  # fmt: skip
    assert re.search(r"own\.py, line 5\): SystemExit: 0", told.error)


def test_a_task_that_exits_fails(walras: Walras, models: Path) -> None:
    Path("own.py").write_text(TASK.replace("self.texts = data", "import sys; sys.exit(0); self.texts = data"))
    told = walras("run", "--model", models / "bert", "--task", "own.py:Spread", "--recipe", "none", "--length", 16)
    assert re.search(r"own\.py, line \d+\): SystemExit: 0", told.error)
