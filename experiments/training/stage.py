"""What training begins with: settings with every name resolved, and then a network, measured as it is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, final

import torch
from torch import nn

from walras.errors import InputError
from walras.experiments.plan import Plan
from walras.experiments.settings.names import NONE
from walras.experiments.spec import SubjectSpec
from walras.experiments.subjects.data import TaskData
from walras.experiments.subjects.subject import Subject, check_length, find_task
from walras.experiments.tasks import Task
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.processes import check_processes
from walras.experiments.training.loop.rows import split
from walras.experiments.training.price.settings import check_kind, pricing_of
from walras.market.pricing import Pricing
from walras.models.loading import load
from walras.models.objective import Objective


@final
@dataclass(frozen=True)
class TrainPlan:
    """Settings with names resolved: all that can be wrong without loading a network is found wrong here.

    Attributes:
        config: the settings.
        market: the market that removes units before training, or that clears during it.
        task: with its data.
    """

    config: TrainConfig
    market: Plan
    task: Task

    @staticmethod
    def from_config(config: TrainConfig) -> "TrainPlan":
        """Resolve names, read the task's data.

        Raises:
            InputError, UnknownNameError: whatever is wrong with the settings or the data.
        """
        check_processes(config)
        check_kind(config.economy)
        plan = TrainPlan(config, Plan.from_spec(config.run_spec()), find_task(config.subject))
        plan.pricing(1.0)  # whatever loss it will be scaled by, its settings and rule are checked
        return plan

    def pricing(self, loss: float) -> Pricing | None:
        """The pricing in its first state, where there is one; `loss` is the one that training begins with."""
        if self.config.economy.pricing == NONE:
            return None
        return pricing_of(self.config.economy, self.market, self.config.budget, loss)


@final
@dataclass(frozen=True)
class TrainStage:
    """A network before training, which is never changed.

    Attributes:
        subject: network, tokenizer, and the task with its evaluation split.
        task: of the subject, its rows cut up for the tokenizer.
        scores: all of the task's metrics of the network as it is.
    """

    subject: Subject
    task: Task
    scores: Mapping[str, float]

    @staticmethod
    def load(config: TrainConfig, device: str) -> "TrainStage":
        """Load and measure; a second call with the same network, task, sizes and seed takes what the first one found.

        Raises:
            InputError: a network that cannot be loaded, does not fit the task, or cannot be trained on it.
        """
        spec, seed = replace(config.subject, device=device), config.seed
        try:
            return _kept(spec, seed)
        except TypeError:  # a task object that cannot be hashed
            return _stage(spec, seed)

    @property
    def data(self) -> TaskData:
        """The task's evaluation split."""
        return task_data(self.subject)

    def learning(self, config: TrainConfig) -> Subject:
        """The same network with the rows that are trained on, judged by those that are held out of them."""
        task = split(self.task, config.rows.held_out, config.rows.limit, config.seed)
        spec, own = config.subject, self.subject
        data = TaskData.from_task(task, own.model, own.tokenizer, batch_size=spec.batch_size, length=spec.length)
        return replace(self.subject, data=data, dense=math.nan)


def task_data(subject: Subject) -> TaskData:
    """The data of a subject that was loaded for a task."""
    assert isinstance(subject.data, TaskData)
    return subject.data


def load_trainable(spec: SubjectSpec, task: Task, seed: int) -> tuple[nn.Module, Any, Task]:
    """A network, its tokenizer, and the task cut up for it; the seed is that of a new head.

    Raises:
        InputError: a network that cannot be loaded, or cannot be trained on the task.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, tokenizer = load(
            spec.model, task.head, device=spec.device, trust_remote_code=spec.trust_remote_code, classes=task.labels()
        )
    trained_on(task, model)
    check_length(model, spec.length)
    return model, tokenizer, task.prepared(tokenizer, spec.length)


def trained_on(task: Task, model: nn.Module) -> Objective:
    """The task's loss.

    Raises:
        InputError: it tells what units are worth, and no more.
    """
    found = task.objective(model, False)
    if not found.trains:
        raise InputError(
            f"task {task.name} has no loss to train {type(model).__name__} on: the {found.unit} tells what units are "
            "worth, and its gradient is noise; use a task with labels, such as stsb or sst2, or a decoder"
        )
    return found


def _stage(spec: SubjectSpec, seed: int) -> TrainStage:
    model, tokenizer, task = load_trainable(spec, find_task(spec), seed)
    data = TaskData.from_task(task, model, tokenizer, batch_size=spec.batch_size, length=spec.length)
    scores = data.scores(model)
    return TrainStage(Subject(model, tokenizer, data, scores[task.metric], spec.model, spec.length), task, scores)


_kept = lru_cache(maxsize=1)(_stage)  # for the next run of a grid
