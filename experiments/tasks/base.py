"""The interface of everything on which a market is run: data to value units with, and a metric to report."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.subjects.checks import check_ids, check_tokenizer
from walras.experiments.tasks.data.rows import Example
from walras.models.loading import Head
from walras.models.objective import Batch, Objective
from walras.models.pooling import mean_pooled

Reference = Tensor | None


FEW_ROWS = 100
"""Below so many rows a figure is told together with their number."""
ROWS = "rows"


class Task(ABC):
    """A labelled or label-free task. What it evaluates on is never used to value units, nor to choose anything.

    `head` says which kind of model it needs, `rows` how many model rows make one sample (2 for a pair of sentences
    that are encoded apart), `higher_is_better` in which direction the metric counts.
    """

    name: str
    metric: str
    head: ClassVar[Head] = "base"
    rows: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True

    def check(self, length: int) -> None:
        """Refuse sequences of a length that the task's own settings do not allow; most have none."""
        del length

    def prepared(self, tokenizer: Any, length: int) -> "Task":
        """The task with its pool cut up for a tokenizer; most tasks have rows of their own and need none of this."""
        del tokenizer, length
        return self

    def protocol(self, tokenizer: Any, length: int) -> dict[str, Any]:
        """How the metric is measured, where that takes more than the task's name; `result.json` has it."""
        del tokenizer, length
        rows = self.measured_rows
        return {ROWS: rows} if rows is not None and rows < FEW_ROWS else {}

    def tokens_inside(self, model: nn.Module, tokenizer: Any, length: int) -> int:
        """Tokens of a sample inside the network, for which compute is counted; most tasks leave it to the settings."""
        del model, tokenizer
        return length

    @property
    def most(self) -> int | None:
        """Samples that there are to calibrate on, where asking for more is refused; None where all are taken then."""
        return None

    @property
    def measured_rows(self) -> int | None:
        """Rows that `evaluate` looks at; None where a figure does not rest on so many rows."""
        return None

    @abstractmethod
    def pool(self) -> Sequence[Example]:
        """Everything that calibration may be drawn from."""

    @abstractmethod
    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """What is to be kept when units leave, with the task's labels or without."""

    def labels(self) -> Sequence[str]:
        """Names of the classes, of which a model without a head gets one for training; none where there are none."""
        return ()

    def parts(self, train: Sequence[Example], held_out: Sequence[Example]) -> "Task":
        """The same task with other rows: to calibrate or train on, and to evaluate on. For training."""
        raise InputError(f"task {self.name!r} cannot be trained: it does not say how to hold rows out (`parts`)")

    def first(self, rows: int) -> "Task":
        """The same task, evaluated on the first rows of its split only. For a quick look."""
        raise InputError(f"task {self.name!r} does not say how to evaluate on {rows} rows only (`first`)")

    def reference(self, model: nn.Module, tokenizer: Any, *, batch_size: int, length: int) -> Reference:
        """What `evaluate` needs to know of the dense model; most tasks have labels instead."""
        del model, tokenizer, batch_size, length
        return None

    @abstractmethod
    def evaluate(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> float:
        """The metric of the model as it is, on the evaluation split."""

    def scores(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> dict[str, float]:
        """All of the task's metrics by name, the headline first."""
        return {self.metric: self.evaluate(model, tokenizer, reference, batch_size=batch_size, length=length)}

    def calibration(self, tokenizer: Any, *, sentences: int, seed: int, batch_size: int, length: int) -> list[Batch]:
        """Batches of about `sentences` sentences, drawn at random without replacement from the pool.

        Samples of like length share a batch: of a random batch of STS-B more than half would be padding.
        """
        pool = self.prepared(tokenizer, length).pool()
        samples = max(1, sentences // (2 if pool[0].second is not None else 1))
        order = np.random.default_rng(seed).permutation(len(pool))[:samples]
        drawn = sorted((pool[i] for i in order), key=lambda e: max(len(e.first), len(e.second or "")))
        return [self.batch(tokenizer, drawn[i : i + batch_size], length) for i in range(0, len(drawn), batch_size)]

    @abstractmethod
    def batch(self, tokenizer: Any, examples: Sequence[Example], length: int) -> Batch:
        """Examples as the model and the objective take them; `rows` rows an example."""


def tokenized(tokenizer: Any, first: Sequence[str], second: Sequence[str] | None, length: int) -> dict[str, Tensor]:
    """Padded tensors of texts, cut at `length` tokens.

    Raises:
        InputError: no tokenizer, or one that does not pad.
    """
    check_tokenizer(tokenizer)
    args = (list(first),) if second is None else (list(first), list(second))
    batch = tokenizer(*args, padding=True, truncation=True, max_length=length, return_tensors="pt")
    return dict(batch)


def on_device(batch: Batch, model: nn.Module) -> dict[str, Tensor]:
    """The batch where the model is.

    Raises:
        InputError: tokens for which the model has no embedding; a GPU would not say which, and fail for good.
    """
    device = next(model.parameters()).device
    if "input_ids" in batch and batch["input_ids"].device.type == "cpu":
        check_ids(batch["input_ids"], model, "a batch")
    return {name: tensor.to(device) for name, tensor in batch.items()}


def by_length(texts: Sequence[str], batch_size: int) -> Iterator[list[int]]:
    """Positions in batches of texts of like length, so that little is padded."""
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    yield from (order[i : i + batch_size] for i in range(0, len(order), batch_size))


@torch.no_grad()
def embed(model: nn.Module, tokenizer: Any, texts: Sequence[str], *, batch_size: int, length: int) -> Tensor:
    """Mean-pooled embeddings of unit length [texts, d], on the CPU."""
    rows: dict[int, Tensor] = {}
    for positions in by_length(texts, batch_size):
        batch = on_device(tokenized(tokenizer, [texts[i] for i in positions], None, length), model)
        rows.update(zip(positions, mean_pooled(model, batch).cpu(), strict=True))
    return torch.stack([rows[i] for i in range(len(texts))])
