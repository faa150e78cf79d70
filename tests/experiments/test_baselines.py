"""Recipes of other papers on real families: within the budget, at single neurons, and sliced as they were gated."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, BertTokenizer

import walras
from tests.experiments.conftest import LINES

SMALLER: dict[str, dict[str, Any]] = {
    "sleb": {},
    "osscar": {},
    "ziplm": {"phases": ["spdy:steps=5"]},
    "evopress": {"phases": ["evopress:generations=2,offspring=3,survivors=2/1,tokens=50/100"]},
}


@pytest.mark.parametrize("recipe", SMALLER)
@pytest.mark.parametrize("family", ["bert", pytest.param("llama", marks=pytest.mark.nightly)])
def test_a_recipe_keeps_the_budget(family: str, recipe: str, models: Path) -> None:
    kind: Any = AutoModelForCausalLM if family == "llama" else AutoModel
    model, tokenizer = kind.from_pretrained(models / family).eval(), BertTokenizer.from_pretrained(models / family)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = walras.run(model, tokenizer, list(LINES), recipe=recipe, budget=0.6, **SMALLER[recipe])
    assert 0.5 - 1e-9 <= found.summary.used <= 0.6 + 1e-9  # blocks of two layers end at a half
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    batch = tokenizer(list(LINES[:3]), return_tensors="pt", padding=True)
    with torch.no_grad():
        small = found.compact()(**batch)[0]
        with found.gated() as gated:
            torch.testing.assert_close(small, gated(**batch)[0], rtol=1e-4, atol=1e-4)
    again = walras.run(model, tokenizer, list(LINES), recipe=recipe, budget=0.6, **SMALLER[recipe])
    assert torch.equal(found.gates, again.gates)
