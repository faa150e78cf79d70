"""Classes and metrics of the classification tasks."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.tasks.classification import METRICS, Classification, class_order
from walras.experiments.tasks.data.glue_table import GLUE
from walras.experiments.tasks.data.rows import Example

CLASSES = GLUE["mnli"].classes


class Oracle(nn.Module):
    """Answers with the class that stands in the text, in an order of classes of its own."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.config = SimpleNamespace(id2label=dict(enumerate(names)))
        self.anchor = nn.Parameter(torch.zeros(()))
        self.names = [name.lower() for name in names]

    def forward(self, input_ids: Tensor) -> Any:
        at = torch.tensor([self.names.index(CLASSES[i]) for i in input_ids[:, 0].tolist()])
        return SimpleNamespace(logits=nn.functional.one_hot(at, len(self.names)).float() + self.anchor)


def read(texts: list[str], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
    return {"input_ids": torch.tensor([[CLASSES.index(t)] for t in texts])}


ROWS = [Example(name, "second", i) for i, name in enumerate(CLASSES)] * 2
TASK = Classification("mnli", "accuracy", CLASSES, ROWS, ROWS)


@pytest.mark.parametrize("names", [[*CLASSES], ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], ["neutral", *CLASSES[::2]]])
def test_classes_are_found_by_their_names(names: list[str]) -> None:
    model = Oracle(names)
    assert TASK.evaluate(model, read, None, batch_size=4, length=8) == 1
    batch = TASK.batch(read, ROWS, 8)
    generator = torch.Generator()
    right = TASK.objective(model, label_free=False)(model, batch, generator)
    wrong = TASK.objective(model, label_free=False)(model, {**batch, "labels": batch["labels"].roll(1)}, generator)
    assert right < wrong


def test_unnamed_classes_are_in_the_order_of_the_task() -> None:
    assert class_order(Oracle(["LABEL_0", "LABEL_1", "LABEL_2"]), CLASSES) == (0, 1, 2)


def test_another_number_of_classes() -> None:
    with pytest.raises(InputError, match="the model has 2 classes and the task has 3: entailment"):
        class_order(Oracle(["no", "yes"]), CLASSES)


@pytest.mark.parametrize(("metric", "expected"), [("accuracy", 4 / 6), ("f1", 4 / 6), ("matthews", 1 / 3)])
def test_metrics_by_hand(metric: str, expected: float) -> None:
    predicted, label = np.array([1, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 0, 0, 1])
    assert METRICS[metric](predicted, label) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["f1", "matthews"])
def test_a_constant_answer_scores_nothing(metric: str) -> None:
    assert METRICS[metric](np.zeros(4, dtype=np.int64), np.array([0, 1, 0, 1])) == 0
