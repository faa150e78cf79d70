"""How long a training run will take, told before it begins."""

import time
from collections.abc import Sequence

import torch
from torch import nn

from walras.experiments.executors.worker import one_thread
from walras.experiments.settings.names import NONE
from walras.experiments.subjects.subject import find_task
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.batches import Batches
from walras.experiments.training.loop.rows import held_out, split
from walras.experiments.training.stage import load_trainable
from walras.models.objective import Objective

TRIED = 4  # batches that are timed, evenly spaced over an epoch
EVALUATED = 2  # evaluations per epoch


def seconds_of(config: TrainConfig) -> float:
    """Seconds of a run on this machine as busy as it is, from a few steps of the dense network and their batches.

    They are timed on one thread, as runs of a grid compute. Steps of the smaller network, once units have settled, are
    taken to cost the budget's share.

    Raises:
        InputError: a network or data that cannot be loaded, or a task that the network cannot be trained on.
    """
    spec, rows = config.subject, config.rows
    model, tokenizer, task = load_trainable(spec, find_task(spec), config.seed)
    learning = split(task, rows.held_out, rows.limit, config.seed)
    batches = Batches(learning, tokenizer, spec.batch_size, spec.length, config.seed)
    with one_thread():
        step, forward = _times(model, task.objective(model, False), batches)
    epochs = config.optimiser.epochs
    unpriced = 0.0 if config.recipe else 1.0
    dense = unpriced if config.economy.pricing == NONE else config.economy.priced
    trained = epochs * len(batches) * step * (dense + (1 - dense) * config.budget)
    evaluated = held_out(rows.held_out, len(task.pool()[: rows.limit])) or len(batches.rows)
    return trained + EVALUATED * epochs * evaluated / batches.batch_size * forward


def _times(model: nn.Module, objective: Objective, batches: Batches) -> tuple[float, float]:
    """Mean seconds of a step, and of the forward pass in it. The network's weights change."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    model.train()
    steps, forwards = [], []
    for i in [0, *(len(batches) * i // TRIED for i in range(TRIED))]:  # the first warms up
        started = time.perf_counter()
        loss = objective(model, batches.at(i), torch.Generator().manual_seed(0))
        forwards.append(time.perf_counter() - started)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        optimizer.zero_grad()
        steps.append(time.perf_counter() - started)
    return sum(steps[1:]) / TRIED, sum(forwards[1:]) / TRIED


def hours(configs: Sequence[TrainConfig], workers: int) -> float:
    """Hours of several runs, so many side by side; those that differ in their seeds alone are timed once."""
    timed: dict[str, float] = {}
    total = 0.0
    for config in configs:
        alike = config.with_values(seed=0).as_yaml()
        timed[alike] = timed.get(alike) or seconds_of(config)
        total += timed[alike]
    return total / min(workers, len(configs)) / 3600
