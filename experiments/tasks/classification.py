"""The classification tasks of GLUE, on a checkpoint that was fine-tuned for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from walras.errors import InputError
from walras.experiments.tasks.base import Reference, Task, by_length, on_device, tokenized
from walras.experiments.tasks.data.glue_files import glue_task, plain, read_glue
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.losses import Labels, OwnPredictions
from walras.models.loading import Head
from walras.models.objective import Batch, Objective, inputs_of

Labelled = NDArray[np.int64]


def accuracy(predicted: Labelled, label: Labelled) -> float:
    """Share of right answers."""
    return float((predicted == label).mean())


def matthews(predicted: Labelled, label: Labelled) -> float:
    """Matthews correlation of two classes; 0 where either side is constant (Matthews 1975)."""
    tp, tn = int((predicted & label).sum()), int(((1 - predicted) & (1 - label)).sum())
    fp, fn = int((predicted & (1 - label)).sum()), int(((1 - predicted) & label).sum())
    scale = float(tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / scale**0.5 if scale else 0.0


def f1(predicted: Labelled, label: Labelled) -> float:
    """Harmonic mean of precision and recall of class 1; 0 where it is neither predicted nor there."""
    right, named = int((predicted & label).sum()), int(predicted.sum()) + int(label.sum())
    return 2 * right / named if named else 0.0


METRICS: dict[str, Callable[[Labelled, Labelled], float]] = {"accuracy": accuracy, "matthews": matthews, "f1": f1}


@final
@dataclass(frozen=True)
class Classification(Task):
    """Sentences or pairs with a class; calibrated on the training split, evaluated on the dev split."""

    name: str
    metric: str
    classes: Sequence[str]
    train: Sequence[Example]
    dev: Sequence[Example]
    others: tuple[str, ...] = ()  # metrics beside the headline
    further: Mapping[str, Sequence[Example]] = field(default_factory=dict)  # more splits to report on
    in_order: bool = True  # whether a model that does not name the classes has them in their order
    head: ClassVar[Head] = "classification"

    def pool(self) -> Sequence[Example]:
        """The training rows."""
        return self.train

    def labels(self) -> Sequence[str]:
        """The task's classes."""
        return self.classes

    @property
    def measured_rows(self) -> int | None:
        """Those that are not calibrated on."""
        return len(self.dev)

    def parts(self, train: Sequence[Example], held_out: Sequence[Example]) -> "Classification":
        """As the interface says."""
        return replace(self, train=train, dev=held_out)

    def first(self, rows: int) -> "Classification":
        """As the interface says; so many of every split."""
        return replace(self, dev=self.dev[:rows], further={name: split[:rows] for name, split in self.further.items()})

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """Cross-entropy against the labels, or against draws from the model's own predictions."""
        return OwnPredictions() if label_free else Labels(class_order(model, self.classes, self.in_order))

    def batch(self, tokenizer: Any, examples: Sequence[Example], length: int) -> Batch:
        """One row an example; both sentences of a pair in it."""
        second = None if examples[0].second is None else [str(e.second) for e in examples]
        tensors = tokenized(tokenizer, [e.first for e in examples], second, length)
        return {**tensors, "labels": torch.tensor([int(e.label or 0) for e in examples])}

    def evaluate(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> float:
        """The task's headline metric."""
        del reference
        return self._measured(model, tokenizer, self.dev, batch_size, length)[self.metric]

    def scores(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> dict[str, float]:
        """All metrics on the dev split, and on the further ones."""
        del reference
        found = self._measured(model, tokenizer, self.dev, batch_size, length)
        for split, examples in self.further.items():
            own = self._measured(model, tokenizer, examples, batch_size, length)
            found |= {f"{metric}, {split}": value for metric, value in own.items()}
        return found

    @torch.no_grad()
    def _measured(
        self, model: nn.Module, tokenizer: Any, examples: Sequence[Example], batch_size: int, length: int
    ) -> dict[str, float]:
        order = list(class_order(model, self.classes, self.in_order))
        predicted = np.zeros(len(examples), dtype=np.int64)
        for positions in by_length([e.first + str(e.second or "") for e in examples], batch_size):
            batch = on_device(self.batch(tokenizer, [examples[i] for i in positions], length), model)
            logits = model(**inputs_of(batch)).logits
            predicted[positions] = logits[:, order].argmax(-1).cpu().numpy()
        label = np.array([int(e.label or 0) for e in examples])
        return {name: METRICS[name](predicted, label) for name in (self.metric, *self.others)}


def class_order(model: nn.Module, classes: Sequence[str], in_order: bool = True) -> tuple[int, ...]:
    """The model's number of each class: by the names in its configuration, else in the order of the task.

    Checkpoints name their classes or leave the names LABEL_0, LABEL_1, ...; of MNLI every order is in use.

    Args:
        model: with a head for classes.
        classes: of the task.
        in_order: whether classes that the model does not name are in its order.

    Raises:
        InputError: another number of classes than the task's; classes whose order nobody has said.
    """
    config: Any = model.config
    names = [str(name) for _, name in sorted(config.id2label.items())]
    if len(names) != len(classes):
        raise InputError(f"the model has {len(names)} classes and the task has {len(classes)}: {', '.join(classes)}")
    place = {plain(name): i for i, name in enumerate(names)}
    known = all(plain(name) in place for name in classes)
    if not (known or in_order):
        raise InputError(
            f"the model names its classes {', '.join(names)}, and the task {', '.join(classes)}; say which are which, "
            f"in the model's order: classes={'/'.join(classes)}"
        )
    return tuple(place[plain(name)] if known else i for i, name in enumerate(classes))


def classification(name: str, data: str | None = None) -> Classification:
    """A task of GLUE's table that has classes."""
    row = glue_task(name)
    found = Classification(
        name, row.metrics[0], row.classes, read_glue(name, data, "train"), read_glue(name, data, "dev"),
        row.metrics[1:],
    )  # fmt: skip
    if name != "mnli":
        return found
    try:
        return replace(found, further={"mismatched": read_glue("mnli-mm", data, "dev")})
    except InputError:  # the folder holds the matched split alone
        return found
