"""Training rows: which are held out, and the order in which the others come."""

from typing import Any

import pytest
import torch

from walras.errors import InputError
from walras.experiments.tasks.classification import Classification
from walras.experiments.tasks.data.rows import Example
from walras.experiments.training.loop.batches import Batches
from walras.experiments.training.loop.rows import split


def task(rows: int) -> Classification:
    examples = [Example("x" * (1 + i % 7), None, i % 2) for i in range(rows)]
    return Classification("sst2", "accuracy", ("a", "b"), examples, examples[:4])


class Recording(list[Any]):
    """Stands for a tokenizer, whose tokens are the letters x: what it is asked for is kept."""

    model_input_names = ("input_ids",)

    def __call__(self, texts: list[str], *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        self.append(texts)
        return {"input_ids": torch.zeros(len(texts), max(text.count("x") for text in texts), dtype=torch.long)}


def drawn(rows: Classification, steps: list[int]) -> list[list[str]]:
    """The texts of batches of 8 rows."""
    seen = Recording()
    batches = Batches(rows, seen, 8, 16, seed=1)
    seen.clear()  # rows are measured one by one before
    for step in steps:
        batches.at(step)
    return list(seen)


def test_held_out_rows_are_none_of_those_trained_on() -> None:
    whole = task(50)
    found = split(whole, 0.2, None, seed=0)
    assert isinstance(found, Classification)
    train, held = found.pool(), found.dev
    assert (len(train), len(held)) == (40, 10)
    assert {id(e) for e in train}.isdisjoint({id(e) for e in held})
    assert {id(e) for e in (*train, *held)} == {id(e) for e in whole.train}
    assert len(split(whole, 0.2, 20, seed=0).pool()) == 16
    with pytest.raises(InputError, match=r"1 training row\(s\) are left of 2"):
        split(whole, 0.5, 2, seed=0)


def test_an_epoch_goes_once_through_the_rows_and_any_batch_can_be_had_alone() -> None:
    batches = Batches(task(50), Recording(), 8, 16, seed=1)
    assert len(batches) == 6
    labels = [batches.at(step)["labels"].tolist() for step in range(6)]
    assert Batches(task(50), Recording(), 8, 16, seed=1).at(4)["labels"].tolist() == labels[4]
    first = drawn(task(50), [*range(6)])
    assert sum(len(texts) for texts in first) == 48
    assert drawn(task(50), [*range(6, 12)]) != first  # another order


def test_rows_of_as_many_tokens_share_a_batch_however_long_their_texts() -> None:
    examples = [Example("x" * (1 + i % 6) + "." * ((7 * i) % 48), None, i % 2) for i in range(48)]
    batches = drawn(Classification("sst2", "accuracy", ("a", "b"), examples, examples[:4]), [*range(6)])
    assert [len({text.count("x") for text in batch}) for batch in batches] == [1] * 6
    assert all(len({len(text) for text in batch}) > 2 for batch in batches)


def test_iterating_goes_through_the_epoch_that_was_set() -> None:
    batches = Batches(task(50), Recording(), 8, 16, seed=1)
    first = list(batches)
    batches.set_epoch(2)
    assert [*batches] == [batches.numbers(step) for step in range(12, 18)]
    assert [*batches] != first
    assert sorted(number for rows in first for number in rows) == sorted({n for rows in first for n in rows})
    assert (batches.batch_size, batches.drop_last) == (8, True)  # whoever divides batches among processes asks
