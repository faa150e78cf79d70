"""Answers end at their grants, and what was truly generated is counted."""

from pathlib import Path

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.experiments.queries.generate import generate
from walras.experiments.queries.predictors import Prediction
from walras.models.loading import load

PROMPTS = ["the cat", "a dog ran in the house", "the man", "the woman ate an apple"]


@pytest.fixture
def decoder(models: Path) -> tuple[torch.nn.Module, object]:
    network, tokenizer = load(str(models / "gpt2"), "causal", device="cpu")
    return network, tokenizer


def test_each_row_stops_at_its_grant(decoder: tuple[torch.nn.Module, object]) -> None:
    network, tokenizer = decoder
    network.generation_config.eos_token_id = None  # type: ignore[union-attr]  # nothing ends early
    told = Prediction(np.array([5.0, 12, 40, 7]), np.ones(4))
    found = generate(network, tokenizer, PROMPTS, told, 40)
    assert found.allocation.tokens[2] == 0
    assert (found.allocation.tokens[[0, 1, 3]] > told.threshold[[0, 1, 3]]).all()
    assert found.spent.tolist() == found.allocation.tokens.tolist()
    assert found.spent.sum() <= 40
    assert found.answers[2] == ""
    alone = generate(network, tokenizer, PROMPTS[:1], Prediction(np.array([5.0]), np.ones(1)), 10)
    assert found.answers[0].startswith(alone.answers[0][:3])  # padding on the left changes no answer


def test_an_early_end_is_counted(decoder: tuple[torch.nn.Module, object]) -> None:
    network, tokenizer = decoder
    told = Prediction(np.array([5.0]), np.ones(1))
    network.generation_config.eos_token_id = None  # type: ignore[union-attr]
    ids = tokenizer(PROMPTS[:1], return_tensors="pt")["input_ids"]  # type: ignore[operator]
    with torch.no_grad():
        first = int(network(input_ids=ids).logits[0, -1].argmax())
    network.generation_config.eos_token_id = first  # type: ignore[union-attr]  # the very first token ends it
    found = generate(network, tokenizer, PROMPTS[:1], told, 20)
    assert found.spent.tolist() == [1]
    assert found.allocation.spent > 5


def test_bad_input(decoder: tuple[torch.nn.Module, object]) -> None:
    network, tokenizer = decoder
    with pytest.raises(InputError, match="no prompt"):
        generate(network, tokenizer, [], Prediction(np.zeros(0), np.zeros(0)), 10)
    with pytest.raises(InputError, match="generates no text"):
        generate(torch.nn.Linear(1, 1), tokenizer, ["a"], Prediction(np.ones(1), np.ones(1)), 10)
    nobody = generate(network, tokenizer, PROMPTS, Prediction(np.full(4, 100.0), np.ones(4)), 10)
    assert nobody.spent.tolist() == [0] * 4
