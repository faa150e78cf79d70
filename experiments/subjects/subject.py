"""The subject of a run: a network, its tokenizer, its data, and how good it is before anybody trades."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final

from torch import nn

from walras.errors import InputError
from walras.experiments.progress import Progress, Silent
from walras.experiments.spec import SubjectSpec
from walras.experiments.subjects.checks import first_run, positions
from walras.experiments.subjects.data import JudgedData, SubjectData, TaskData, data_from
from walras.experiments.tasks import TASKS, Task
from walras.models.loading import load
from walras.models.units.tradable import check_loaded, check_tradable
from walras.parameters import taken_parameters


@final
@dataclass(frozen=True)
class Subject:
    """A network that can be traded on; it is never changed.

    Attributes:
        model: the dense network.
        tokenizer: its tokenizer, or processor of pictures or sound; None where the data are batches.
        data: what units are valued on, and the figure by which networks are judged.
        dense: that figure of the dense network.
        name: folder or hub id, or the class of a network that was given as an object.
        length: tokens of a sequence, or those that a picture or a piece of sound becomes inside the network.
    """

    model: nn.Module
    tokenizer: Any
    data: SubjectData
    dense: float
    name: str
    length: int

    @staticmethod
    def load(
        spec: SubjectSpec, progress: Progress | None = None, task: Task | None = None, *, measured: bool = True
    ) -> "Subject":
        """Load the network that settings name, and measure it as it is.

        Args:
            spec: network, task, sizes.
            progress: is told of both steps.
            task: with its data, where that has been read already.
            measured: whether the network is measured; else `dense` is NaN.

        Raises:
            InputError: whatever is wrong with the task, its data or the network; data are read first.
        """
        progress = progress or Silent()
        task = task if task is not None else find_task(spec)
        step = progress.add_task("Loading the model", total=2)
        model, tokenizer = load(
            spec.model, task.head, device=spec.device, dtype=spec.dtype, trust_remote_code=spec.trust_remote_code
        )
        check_tradable(model)
        check_length(model, spec.length)
        progress.update(step, advance=1, description="Model loaded")
        with first_run(model, f"task {task.name}"):
            data = TaskData.from_task(task, model, tokenizer, batch_size=spec.batch_size, length=spec.length)
            dense = data.evaluate(model) if measured else math.nan
            length = data.tokens(model, spec.length)
        told = f": {task.metric} {dense:.3f}" if measured else f" on {task.name}"
        progress.update(step, advance=1, description=f"Dense model{told}")
        return Subject(model, tokenizer, data, dense, spec.model, length)

    @staticmethod
    def wrap(
        model: nn.Module, tokenizer: Any, data: Any, spec: SubjectSpec, *, seed: int = 0, loss: Any = None,
        evaluate: Callable[[nn.Module], float] | None = None,
    ) -> "Subject":  # fmt: skip
        """A network and data of the user's own: texts, batches or a task.

        Raises:
            InputError: something that is none of these.
        """
        if not isinstance(model, nn.Module):
            raise InputError(f"model is {type(model).__name__}; it must be a loaded transformer (torch.nn.Module)")
        check_tradable(model)
        check_loaded(model)
        check_length(model, spec.length)
        with evaluating(model), first_run(model, f"task {data.name}" if isinstance(data, Task) else "data"):
            found = data_from(
                data, model, tokenizer, seed=seed, batch_size=spec.batch_size, length=spec.length, loss=loss
            )
            if evaluate is not None:
                found = JudgedData(found, evaluate)
            dense = found.evaluate(model)
            length = found.tokens(model, spec.length)
        return Subject(model, tokenizer, found, dense, f"{type(model).__name__} {OWN}", length)

    def judged_by(self, evaluate: Callable[[nn.Module], float]) -> "Subject":
        """The same, judged by a function of the user's own."""
        data = JudgedData(self.data, evaluate)
        return replace(self, data=data, dense=data.evaluate(self.model))

    def for_task(self, task: Task, batch_size: int) -> SubjectData:
        """The data of another task on the same network.

        Raises:
            InputError: it needs another kind of network.
        """
        own = self.data.task if isinstance(self.data, TaskData) else None
        if own is not None and task.head != own.head:
            raise InputError(f"task {task.name} needs another head than {own.name}; a network has one for both")
        return TaskData.from_task(task, self.model, self.tokenizer, batch_size=batch_size, length=self.length)


OWN = "(from Python)"
"""Stands behind the class of a network that was given as an object, which no folder of a run can load again."""


def find_task(spec: SubjectSpec) -> Task:
    """The task that settings name, with its data read.

    Raises:
        InputError, UnknownNameError: no such task, parameters that it does not take, data that cannot be read.
    """
    if spec.data is not None and isinstance(spec.task, str):
        takes = taken_parameters(TASKS.find(spec.task))
        if "data" not in takes:
            raise InputError(f"task {spec.task} takes no data; it takes {', '.join(takes) or 'nothing'}")
    task: Task = TASKS.make(spec.task, data=spec.data)
    task.check(spec.length)
    return task


def check_length(model: nn.Module, length: int) -> None:
    """Refuse sequences for which a model has no positions.

    Raises:
        InputError: as said.
    """
    longest = positions(model)
    if longest is not None and length > longest:
        raise InputError(f"length is {length}; {type(model).__name__} has positions for at most {longest} tokens")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, so that no unit drops out by chance; afterwards every part is as it was."""
    training = [m for m in model.modules() if m.training]
    model.eval()
    try:
        yield
    finally:
        for m in training:
            m.training = True
