"""What training begins with: settings with every name resolved, and then a network, measured as it is."""

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import torch
from torch import nn

from walras.agents import VALUATIONS, Valuation
from walras.errors import InputError, UnknownNameError
from walras.experiments.budgets import UNIT
from walras.experiments.floor import Floor
from walras.experiments.plugins import build, find_class
from walras.experiments.recipes import RECIPES
from walras.experiments.run import find_task
from walras.experiments.tasks import Task
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.processes import check_processes
from walras.market.pricing import PRICINGS, RISES, Cleared, Pricing, Tax
from walras.market.schedule import SCHEDULES, check_budget
from walras.mechanisms import MECHANISMS, Mechanism
from walras.models.loading import load
from walras.models.objective import Objective
from walras.models.repair.table import REPAIRS, Repair

STIFF = 1000.0
"""Curvature with which dual ascent begins, in rates. AdamW moves gates by the same step at any price, so that a
multiplier alone swings to and fro; with this, simulated gates under noisy losses land within 1 % for budgets of 0.4 to
0.8 and 110 to 800 steps (with 300, one in six does not)."""


@final
@dataclass(frozen=True)
class TrainPlan:
    """Settings with names resolved: all that can be wrong without loading a network is found wrong here."""

    config: TrainConfig
    task: Task
    kind: type[Pricing] | None
    mechanism: Mechanism
    valuation: Valuation
    repair: Repair | None

    @staticmethod
    def of(config: TrainConfig) -> "TrainPlan":
        """Resolve names, read the task's data.

        Raises:
            InputError, UnknownNameError: whatever is wrong with the settings or the data.
        """
        check_budget(config.budget)
        check_processes(config)
        names: dict[str, tuple[str | None, ...]] = {
            "rise": RISES,
            "schedule": (*SCHEDULES,),
            "recipe": (*RECIPES, None),
        }
        for name, known in names.items():
            if getattr(config, name) not in known:
                raise UnknownNameError(name, getattr(config, name), [n for n in known if n is not None])
        own: type[Pricing] | None = None
        if config.pricing != "none":
            own = find_class("pricing", config.pricing, PRICINGS, Pricing)
        rule: Mechanism = build("mechanism", find_class("mechanism", config.mechanism, MECHANISMS, Mechanism))
        if own is Cleared:
            rule.require(UNIT)
        task = find_task(config.task, config.data)
        task.check(config.length)
        plan = TrainPlan(
            config, task, own,
            rule,
            build("valuation", find_class("valuation", config.valuation, VALUATIONS, Valuation)),
            None if config.repair == "none" else build("repair", find_class("repair", config.repair, REPAIRS, Repair)),
        )  # fmt: skip
        plan.pricing(1.0)  # whatever loss it will be scaled by, its settings and rule are checked
        return plan

    def pricing(self, loss: float) -> Pricing | None:
        """The pricing in its first state; `loss` is the one that training begins with."""
        config, kind = self.config, self.kind
        if kind is None:
            return None
        if kind is Tax:
            return Tax(float(config.price or 0.0), config.rise)
        if kind is Cleared:
            return Cleared.of(self.mechanism, config.budget, config.rounds, config.schedule)
        rate = config.ascent * max(loss, 1e-6)
        offered = {"budget": config.budget, "rate": rate, "curvature": STIFF * rate}
        takes = inspect.signature(kind).parameters
        given = {name: value for name, value in offered.items() if name in takes}
        found: Pricing = build("pricing", kind, **given)
        return found


@final
@dataclass(frozen=True)
class TrainStage:
    """A network before training, which is never changed, and what it scores on the task's evaluation split."""

    model: nn.Module
    tokenizer: Any
    task: Task
    objective: Objective
    floor: Floor
    scores: dict[str, float]
    sizes: dict[str, int]

    @staticmethod
    def of(config: TrainConfig, device: str) -> "TrainStage":
        """Load and measure; a second call with the same network, task, sizes and seed takes what the first one found.

        Raises:
            InputError: a network that cannot be loaded, does not fit the task, or cannot be trained on it.
        """
        return _stage(*(getattr(config, name) for name in STAGE), device)


STAGE = ("model", "task", "data", "block", "length", "batch_size", "trust_remote_code", "seed")
"""Settings on which a stage depends; on the seed where the network gets a new head."""


@lru_cache(maxsize=1)
def _stage(
    name: str, task_name: str, data: str | None, block: int, length: int, batch_size: int, trust: bool, seed: int,
    device: str,
) -> TrainStage:  # fmt: skip
    """Kept for the next run of a grid."""
    task, sizes = find_task(task_name, data), {"batch_size": batch_size, "length": length}
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # of a new head
        model, tokenizer = load(name, task.head, device=device, trust_remote_code=trust, classes=task.labels())
    objective, floor = trained_on(task, model), Floor.of(model, block, length)
    task = task.prepared(tokenizer, length)
    scores = task.scores(model, tokenizer, task.reference(model, tokenizer, **sizes), **sizes)
    return TrainStage(model, tokenizer, task, objective, floor, scores, sizes)


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
