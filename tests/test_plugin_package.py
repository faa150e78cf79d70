"""A package of somebody else's with a rule, a task and a family, built, installed, listed, checked and run by name."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from transformers import BertTokenizer, ErnieConfig, ErnieModel

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "walras-neighbours"
version = "1.0"

[project.entry-points."walras.mechanisms"]
first-come = "walras_neighbours:FirstCome"

[project.entry-points."walras.tasks"]
spread = "walras_neighbours:Spread"

[project.entry-points."walras.families"]
ernie = "walras_neighbours:ERNIE"

[tool.setuptools]
py-modules = ["walras_neighbours"]
"""
MODULE = '''
"""A rule, a task and a family."""
from dataclasses import dataclass
from typing import ClassVar

import torch

from walras import Clearing, Mechanism, Task
from walras.experiments.tasks.base import embed, tokenized
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.losses import Embeddings
from walras.mechanisms import charge
from walras.mechanisms.traits import INDIVISIBLE
from walras.models.families import Architecture, Projection, SubLayer


@dataclass(frozen=True)
class FirstCome(Mechanism):
    """Serves units in the order of the network until the supply is gone."""

    start: float = 0.0
    requires: ClassVar[frozenset[str]] = frozenset({INDIVISIBLE})

    def clear(self, bids, supply, cost):
        price = torch.full_like(supply, self.start)
        wanted = bids.demand(charge(cost, price))
        used = (cost * wanted.unsqueeze(-1)).cumsum(-2)
        return Clearing(wanted * (used <= supply.unsqueeze(-2)).all(-1), price)


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


_SELF = "attention.self"
ERNIE = Architecture(
    layers="encoder.layer",
    attention=_SELF,
    heads=SubLayer(
        tuple(Projection(f"{_SELF}.{part}", (part,)) for part in ("query", "key", "value")),
        output="attention.output.dense",
        stream="attention.output.LayerNorm",
    ),
    ffn=SubLayer((Projection("intermediate.dense", ("ffn_in",)),), "output.dense", "output.LayerNorm"),
    head_size="attention_head_size",
    counters={"num_attention_heads": "heads", "all_head_size": "features"},
)
'''
WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["the", "a", "an", "cat", "dog", "man", "apple", "sat", "ran", "played", "is", "on", "mat"],
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the packages of this one and the plug-in; its Python."""
    place = tmp_path_factory.mktemp("plugin")
    (place / "package").mkdir()
    (place / "package" / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (place / "package" / "walras_neighbours.py").write_text(MODULE, encoding="utf-8")
    _run(sys.executable, "-m", "venv", "--without-pip", place / "env")
    python = place / "env" / "bin" / "python"
    (site,) = (place / "env").rglob("site-packages")
    ours = sysconfig.get_paths()["purelib"]
    (site / "shared.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "-q")
    _run(sys.executable, "-m", "pip", "--python", python, "install", *options, place / "package")
    return python


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network of a family that our own table does not have."""
    folder = tmp_path_factory.mktemp("ernie")
    torch.manual_seed(0)
    sizes = {
        "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 64,
    }  # fmt: skip
    ErnieModel(ErnieConfig.from_dict(sizes)).save_pretrained(folder)
    BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder


def _run(*command: object, cwd: Path | None = None) -> str:
    """Run a command, which must succeed; what it printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.nightly
def test_listed_with_parameters_and_package(environment: Path) -> None:
    found = json.loads(_run(environment, "-m", "walras", "list", "--json"))
    assert found["mechanism"]["first-come"] == {
        "about": "Serves units in the order of the network until the supply is gone.",
        "parameters": [{"name": "start", "kind": "float", "default": "0.0"}],
        "source": "package walras-neighbours",
    }
    assert found["task"]["spread"]["source"] == "package walras-neighbours"
    assert "ernie" in found["family"]


@pytest.mark.nightly
def test_checked_by_name(environment: Path) -> None:
    out = _run(environment, "-m", "walras", "check", "FirstCome", "--instances", 2, "--json")
    assert all(check["passed"] for check in json.loads(out))


@pytest.mark.nightly
def test_run_by_name(environment: Path, model: Path, tmp_path: Path) -> None:
    options = ("--recipe", "none", "--rounds", 1, "--out", tmp_path / "r", "--json", "--block", 8, "--length", 32)
    out = _run(
        environment, "-m", "walras", "run", "--model", model, "--task", "spread:texts=3", "--mechanism", "first_come",
        *options, cwd=tmp_path,
    )  # fmt: skip
    result = json.loads(out)
    assert (result["mechanism"], result["task"]) == ("first-come", "spread")
    assert result["kept"]["head"] == 2
    assert 0 < result["used"] <= 0.5


def test_without_the_package_nothing_of_it_is_known() -> None:
    from walras.mechanisms import MECHANISMS

    assert "first-come" not in MECHANISMS
