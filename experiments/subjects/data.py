"""Data of a subject: what units are valued on, and the figure by which a network is judged."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.subjects.checks import check_batches, check_texts, check_tokenizer
from walras.experiments.subjects.objectives import Loss, as_objective, objective_of, outputs_of
from walras.experiments.tasks import Task
from walras.experiments.tasks.audio import from_sounds
from walras.experiments.tasks.base import Reference, on_device
from walras.experiments.tasks.images import from_pictures, is_picture
from walras.experiments.tasks.text import from_texts
from walras.market.naming import naming
from walras.models.objective import Batch, Objective
from walras.models.pooling import tokens_inside


class SubjectData(ABC):
    """What a market needs of a task, or of batches of the user's own.

    `metric` is the name of the figure, `higher_is_better` its direction, None where nobody knows it.
    """

    name: str
    metric: str
    higher_is_better: bool | None

    @abstractmethod
    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """What is to be kept when units leave, with labels or without."""

    @abstractmethod
    def batches(self, sentences: int, seed: int) -> Sequence[Batch]:
        """About so many sentences to value units on."""

    @abstractmethod
    def evaluate(self, model: nn.Module) -> float:
        """The figure of a network as it is."""

    @property
    def most(self) -> int | None:
        """Samples that there are to calibrate on, where asking for more is refused."""
        return None

    def tokens(self, model: nn.Module, length: int) -> int:
        """Tokens of a sample inside a network, where settings say `length`."""
        del model
        return length

    def protocol(self) -> dict[str, Any]:
        """How the figure is measured, where that takes more than its name."""
        return {}


@final
@dataclass(frozen=True)
class TaskData(SubjectData):
    """A task, for one network and tokenizer."""

    task: Task
    tokenizer: Any
    reference: Reference = field(repr=False)
    sizes: Mapping[str, int]  # batch_size and length
    own_objective: Objective | None = None

    @staticmethod
    def from_task(
        task: Task,
        model: nn.Module,
        tokenizer: Any,
        *,
        batch_size: int,
        length: int,
        loss: Loss | Objective | None = None,
    ) -> "TaskData":
        """Runs the dense network where the task needs to know what it says."""
        sizes = {"batch_size": batch_size, "length": length}
        reference = task.reference(model, tokenizer, **sizes)
        return TaskData(task, tokenizer, reference, sizes, None if loss is None else as_objective(loss))

    @property
    def name(self) -> str:  # type: ignore[override]  # read off the task; elsewhere a field
        """The task's name."""
        return self.task.name

    @property
    def metric(self) -> str:  # type: ignore[override]  # read off what it wraps; elsewhere a field
        """The task's metric."""
        return self.task.metric

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]  # read off what it wraps; elsewhere a field
        """Its direction."""
        return self.task.higher_is_better

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """The task's, or the user's own loss."""
        return self.own_objective or self.task.objective(model, label_free)

    def batches(self, sentences: int, seed: int) -> Sequence[Batch]:
        """Drawn from the training split."""
        return self.task.calibration(self.tokenizer, sentences=sentences, seed=seed, **self.sizes)

    def evaluate(self, model: nn.Module) -> float:
        """On the evaluation split."""
        return self.task.evaluate(model, self.tokenizer, self.reference, **self.sizes)

    @property
    def most(self) -> int | None:
        """The task's."""
        return self.task.most

    def tokens(self, model: nn.Module, length: int) -> int:
        """The task's."""
        return self.task.tokens_inside(model, self.tokenizer, length)

    def scores(self, model: nn.Module) -> dict[str, float]:
        """All of the task's metrics on the evaluation split, the headline first."""
        return self.task.scores(model, self.tokenizer, self.reference, **self.sizes)

    def protocol(self) -> dict[str, Any]:
        """The task's."""
        return self.task.protocol(self.tokenizer, self.sizes["length"])


@final
@dataclass(frozen=True)
class BatchData(SubjectData):
    """Batches of the user's own, as the network takes them; they serve for valuing units and for judging the network.

    With labels, or a loss of the user's own, the figure is the mean loss. Without, a loss would say nothing of a
    network: the figure is how often (or, of a network without logits, how closely, as a mean cosine) the smaller
    network says what the dense one says on the same batches.
    """

    given: Sequence[Batch]
    own_objective: Objective | None
    dense: Sequence[Tensor] | None = field(repr=False)  # outputs of the dense network, where they are compared with
    rule: Objective  # that is evaluated
    seed: int
    metric: str
    higher_is_better: bool | None
    name: str = "own data"

    @staticmethod
    def from_batches(
        items: Sequence[Any], model: nn.Module, *, seed: int, loss: Loss | Objective | None = None
    ) -> "BatchData":
        """Runs the dense network once over batches without labels.

        Raises:
            InputError: an item that is no batch.
        """
        check_batches(items, model)
        own = None if loss is None else as_objective(loss)
        rule = own or objective_of(model, items[0], label_free=False)
        if rule.trains:
            return BatchData(items, own, None, rule, seed, f"loss ({rule.unit})", False)
        dense = [outputs_of(model, batch) for batch in items]
        name = "agreement with dense" if dense[0].dtype == torch.long else "cosine with dense"
        return BatchData(items, own, dense, rule, seed, name, True)

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """The user's own loss, the model's where there are labels that may be used, or the change of its outputs."""
        if self.own_objective is not None:
            return self.own_objective
        return objective_of(model, self.given[0], label_free) if label_free else self.rule

    def batches(self, sentences: int, seed: int) -> Sequence[Batch]:
        """All of them."""
        del sentences, seed
        return self.given

    def tokens(self, model: nn.Module, length: int) -> int:
        """Those of pictures and sound in the first batch; of texts, as settings say."""
        first = on_device(self.given[0], model)
        return length if "input_ids" in first or "inputs_embeds" in first else tokens_inside(model, first)

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        """Mean loss, or agreement with the dense network."""
        if self.dense is None:
            generator = torch.Generator().manual_seed(self.seed)
            losses = [float(self.rule(model, batch, generator)) for batch in self.given]
            return sum(losses) / len(losses)
        alike = [
            (now == then).double() if now.dtype == torch.long else (now * then).sum(-1).double()
            for now, then in zip((outputs_of(model, batch) for batch in self.given), self.dense, strict=True)
        ]
        return float(torch.cat(alike).mean())


@final
@dataclass(frozen=True)
class JudgedData(SubjectData):
    """Other data, judged by a function of the user's own."""

    data: SubjectData
    function: Callable[[nn.Module], float]
    metric: str = "evaluate"
    higher_is_better: bool | None = None

    @property
    def name(self) -> str:  # type: ignore[override]  # read off what it wraps; elsewhere a field
        """That of the data."""
        return self.data.name

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """That of the data."""
        return self.data.objective(model, label_free)

    def batches(self, sentences: int, seed: int) -> Sequence[Batch]:
        """Those of the data."""
        return self.data.batches(sentences, seed)

    @property
    def most(self) -> int | None:
        """That of the data."""
        return self.data.most

    def tokens(self, model: nn.Module, length: int) -> int:
        """Those of the data."""
        return self.data.tokens(model, length)

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        """What the function says, checked to be a finite number.

        Raises:
            InputError: it is none.
            UserCodeError: the function raised an error.
        """
        with naming("evaluate", self.function):
            answer = self.function(model)
            try:
                figure = float(answer)
            except (TypeError, ValueError) as error:
                raise InputError(f"evaluate returned {answer!r}; it must be a number") from error
            if not math.isfinite(figure):
                raise InputError(f"evaluate returned {figure}; it must be a finite number")
            return figure


def data_from(
    given: Any, model: nn.Module, tokenizer: Any, *, seed: int, batch_size: int, length: int, loss: Any = None
) -> SubjectData:
    """Data of a task, of texts, of pictures, of sounds, or of batches.

    Raises:
        InputError: none of them, or nothing in it.
    """
    sizes = {"batch_size": batch_size, "length": length}
    if isinstance(given, Task):
        return TaskData.from_task(given, model, tokenizer, **sizes, loss=loss)
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        alone: dict[Any, str] = {str: "one string", bytes: "bytes", dict: "one batch"}
        what = alone.get(type(given)) or (type(given).__name__ if isinstance(given, Mapping) else f"{given!r}")
        raise InputError(f"data is {what}; give a list of texts, pictures, sounds or batches, or a task")
    items = list(given)
    if not items:
        raise InputError("data is empty; give at least two texts, or one batch")
    made = from_pictures if is_picture(items[0]) else from_sounds
    if is_picture(items[0]) or isinstance(items[0], np.ndarray):
        return TaskData.from_task(made(items), model, tokenizer, **sizes, loss=loss)
    if not isinstance(items[0], str):
        return BatchData.from_batches(items, model, seed=seed, loss=loss)
    check_texts(items)
    check_tokenizer(tokenizer)
    return TaskData.from_task(from_texts(items), model, tokenizer, **sizes, loss=loss)
