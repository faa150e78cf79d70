"""How long a training run will take, told before it begins."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from walras.experiments.grids.executor import one_thread
from walras.experiments.run import find_task
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.rows import Batches, held_out, split
from walras.experiments.training.stage import trained_on
from walras.models.loading import load
from walras.models.objective import Objective

TRIED = 4  # batches that are timed, evenly spaced over an epoch
EVALUATED = 2  # times an epoch that the rows are gone through by which it is judged


def seconds_of(config: TrainConfig) -> float:
    """Seconds of a run on this machine as busy as it is, from a few steps of the dense network and their batches.

    They are timed on one thread, as runs of a grid compute. Steps of the smaller network, once units have settled, are
    taken to cost the budget's share.

    Raises:
        InputError: a network or data that cannot be loaded, or a task that the network cannot be trained on.
    """
    task = find_task(config.task, config.data)
    model, tokenizer = load(
        config.model, task.head, device=config.device, trust_remote_code=config.trust_remote_code,
        classes=task.labels(),
    )  # fmt: skip
    objective, task = trained_on(task, model), task.prepared(tokenizer, config.length)
    learning = split(task, config.held_out, config.limit, config.seed)
    batches = Batches(learning, tokenizer, config.batch_size, config.length, config.seed)
    with one_thread():
        step, forward = _times(model, objective, batches)
    steps = config.epochs * batches.epoch
    dense = config.priced if config.pricing != "none" else 0.0 if config.recipe else 1.0
    trained = steps * step * (dense + (1 - dense) * config.budget)
    judged = held_out(config.held_out, len(task.pool()[: config.limit])) or len(batches.rows)
    return trained + EVALUATED * config.epochs * judged / batches.size * forward


def _times(model: nn.Module, objective: Objective, batches: Batches) -> tuple[float, float]:
    """Mean seconds of a step, and of the forward pass in it. The network's weights change."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    model.train()
    steps, forwards = [], []
    for i in [0, *(batches.epoch * i // TRIED for i in range(TRIED))]:  # the first warms up
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
    timed: dict[TrainConfig, float] = {}
    for config in configs:
        alike = replace(config, seed=0)
        timed[alike] = timed.get(alike) or seconds_of(config)
    return sum(timed[replace(config, seed=0)] for config in configs) / min(workers, len(configs)) / 3600
