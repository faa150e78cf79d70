"""The main job: one market on one model and one task, from settings to a run folder."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, final

from torch import nn

from walras.agents import STRATEGIES, VALUATIONS, Calibration, Strategy, Valuation
from walras.errors import InputError, UnknownNameError
from walras.experiments.budgets import Budgets, check_path, check_rule
from walras.experiments.config import RunConfig
from walras.experiments.floor import Floor, Watched
from walras.experiments.plugins import build, find_class
from walras.experiments.reports.run_report import write_report
from walras.experiments.result import Result, allocation_columns
from walras.experiments.shocks import PlannedShock, find_shocks
from walras.experiments.store.run_folder import RunFolder, write_allocation
from walras.experiments.tasks import TASKS, Task
from walras.experiments.tasks.base import Reference
from walras.experiments.tasks.settings import apart, settings_of
from walras.market import ComputeMarket, TraceWriter, budget_path
from walras.mechanisms import MECHANISMS, Mechanism
from walras.models import compact
from walras.models.loading import load
from walras.models.repair.table import REPAIRS, Repair


class Progress(Protocol):
    """What a run tells of its progress; `rich.progress.Progress` has it."""

    def add_task(self, description: str, *, total: float | None = None) -> Any:
        """Begin a step of so many parts."""

    def update(
        self, task_id: Any, *, advance: float | None = None, completed: float | None = None,
        description: str | None = None,
    ) -> None:  # fmt: skip
        """Parts of a step are done."""


@final
class Silent:
    """Progress that nobody watches."""

    def add_task(self, description: str, *, total: float | None = None) -> int:
        """Nothing."""
        return 0

    def update(
        self, task_id: Any, *, advance: float | None = None, completed: float | None = None,
        description: str | None = None,
    ) -> None:  # fmt: skip
        """Nothing."""


@final
@dataclass(frozen=True)
class Plan:
    """Settings with every name resolved: all that can be wrong without loading a network is found wrong here."""

    config: RunConfig
    task: Task
    mechanism: Mechanism
    valuation: Valuation
    strategy: Strategy
    repair: Repair | None
    shocks: Sequence[PlannedShock] = ()

    @staticmethod
    def of(config: RunConfig) -> "Plan":
        """Resolve names, read the task's data.

        Raises:
            InputError: whatever is wrong with the settings or the data.
        """
        for share in config.shares.values():
            check_path(budget_path(share, config.rounds, config.schedule), config)
        shocks = find_shocks(config.shock, config.rounds)
        rule: Mechanism = build(
            "mechanism", find_class("mechanism", config.mechanism, MECHANISMS, Mechanism), price=config.price
        )
        check_rule(rule, config)
        strategy = STRATEGIES.make(config.strategy)
        if strategy.learns and config.rounds < 2:
            raise InputError(f"strategy {strategy.name} learns from what rounds bring; give it --rounds 2 or more")
        task = find_task(config.task, config.data)
        task.check(config.length)
        return Plan(
            config,
            task,
            rule,
            build("valuation", find_class("valuation", config.valuation, VALUATIONS, Valuation)),
            strategy,
            None if config.repair == "none" else build("repair", find_class("repair", config.repair, REPAIRS, Repair)),
            shocks,
        )


@final
@dataclass(frozen=True)
class Recorder:
    """After every round the folder holds everything up to it; nothing is written before the first one is done."""

    folder: RunFolder
    config: RunConfig

    def __call__(self, market: ComputeMarket, turn: object = None) -> None:
        """Write the settings, the round's part of the trace, and the table of rounds."""
        self.folder.begin(self.config.as_yaml())
        TraceWriter(self.folder.trace)(market)
        self.folder.write_rounds(market.frame)


def find_task(name: str, data: str | None) -> Task:
    """The task of that name, or of a user's FILE.py:Class, with its data read; settings may stand behind it.

    Raises:
        InputError, UnknownNameError: no such task, settings that it does not take, data that cannot be read.
    """
    head, settings = apart(name)
    if head.lower() in TASKS:
        factory = TASKS[head.lower()]
        return factory(data, **settings_of(head, settings, factory))
    if ":" not in head and not head.endswith(".py"):
        raise UnknownNameError("task", head, TASKS, "Your own: FILE.py:Class.")
    cls = find_class("task", head, {}, Task)
    task: Task = build("task", cls, data=data, **settings_of(head, settings, cls))
    return task


@final
@dataclass(frozen=True)
class Stage:
    """A network and a task before anybody trades; several markets can be run on it."""

    model: nn.Module
    tokenizer: Any
    task: Task
    floor: Floor
    reference: Reference
    dense: float
    sizes: dict[str, int]

    @staticmethod
    def of(plan: Plan, progress: Progress) -> "Stage":
        """Load the network and measure it as it is."""
        config, task = plan.config, plan.task
        step = progress.add_task("Loading the model", total=2)
        model, tokenizer = load(
            config.model, task.head, device=config.device, trust_remote_code=config.trust_remote_code
        )
        floor = Floor.of(model, config.block, config.length)
        floor.budgets(config, lambda text: progress.update(step, description=text))
        progress.update(step, advance=1, description=f"Dense model on {task.name}")
        sizes = {"batch_size": config.batch_size, "length": config.length}
        reference = task.reference(model, tokenizer, **sizes)
        dense = task.evaluate(model, tokenizer, reference, **sizes)
        progress.update(step, advance=1, description=f"Dense model: {task.metric} {dense:.3f}")
        return Stage(model, tokenizer, task, floor, reference, dense, sizes)

    def calibrated(self, config: RunConfig, floor: Floor, name: str) -> Calibration:
        """The floor's network with the data and the loss of another task, for one that changes in the middle.

        Raises:
            InputError: a task for another kind of network.
        """
        task = find_task(name, config.data)
        if task.head != self.task.head:
            raise InputError(f"task {name} needs another head than {self.task.name}; a network has one for both")
        batches = task.calibration(self.tokenizer, sentences=config.sentences, seed=config.seed, **self.sizes)
        return floor.calibration(task.objective(self.model, config.label_free), batches, self.model)

    def evaluate(self, model: nn.Module) -> float:
        """The task's metric of a model."""
        return self.task.evaluate(model, self.tokenizer, self.reference, **self.sizes)


def run_config(
    config: RunConfig, out: str | Path | None = None, overwrite: bool = False, progress: Progress | None = None
) -> Result:
    """Run a market; write the run folder `out` where one is given.

    Raises:
        InputError: bad settings or data, before a network is loaded or a file written.
    """
    progress = progress or Silent()
    folder = None if out is None else RunFolder(out, overwrite)
    plan = Plan.of(config)
    return run_plan(plan, Stage.of(plan, progress), folder, progress)


def run_plan(plan: Plan, stage: Stage, folder: RunFolder | None, progress: Progress) -> Result:
    """Rounds of the market, the metric of what is left of the network, and the run folder."""
    config, task = plan.config, stage.task
    started = time.monotonic()
    # Repairs change weights: they get a network of their own, and the dense one stays what it is.
    floor = stage.floor if plan.repair is None else replace(stage.floor, model=copy.deepcopy(stage.model))
    budgets = stage.floor.budgets(config)
    batches = task.calibration(stage.tokenizer, sentences=config.sentences, seed=config.seed, **stage.sizes)
    sessions = config.rounds * (len(floor.units.sites) if config.sublayers else 1)
    bar = progress.add_task("Rounds", total=sessions * len(batches))
    market = floor.market(
        task.objective(stage.model, config.label_free),
        Watched(batches, lambda: progress.update(bar, advance=1)),
        plan.valuation, plan.mechanism,
        budgets=budgets, rounds=config.rounds, schedule=config.schedule, strategy=plan.strategy,
        endowment=config.endowment,
        seed=config.seed, reentry=config.reentry, sublayers=config.sublayers, rearranged=config.rearranged,
        scope=config.scope, probes=config.probes,
        dense=stage.model, repair=plan.repair, record=None if folder is None else Recorder(folder, config),
        shocks=[planned.shock(partial(stage.calibrated, config, floor)) for planned in plan.shocks],
    )  # fmt: skip
    for turn in range(1, sessions + 1):
        if plan.repair is not None:  # which comes after the batches that the bar counts, and takes as long
            progress.update(bar, description=f"Round {turn} of {sessions}: values, clearing, repair")
        market.step()
        last = market.rounds[-1]
        told = f"Round {last.round}: price {last.price:.3g}, {last.used:.1%} used"
        progress.update(bar, completed=last.round * len(batches), description=told)  # some valuations need no batches
    progress.update(bar, description=f"Smaller model on {task.name}")
    small = compact(floor.model, floor.units, (market.gates > 0).cpu())
    value = stage.evaluate(small)
    metric = {
        "name": task.metric, "dense": stage.dense, "value": value, "higher_is_better": task.higher_is_better
    }  # fmt: skip
    summary = {
        "mechanism": config.mechanism, "valuation": config.valuation, "strategy": config.strategy,
        "task": task.name, "model": config.model, "seed": config.seed,
        **figures(market, floor, plan.valuation, budgets), "metric": metric,
        "protocol": task.protocol(stage.tokenizer, config.length), "recipe": config.recipe,
        "parameters": parameters(small), "dense_parameters": parameters(stage.model),
        "seconds": round(time.monotonic() - started, 2),
    }  # fmt: skip
    result = Result(
        floor.model, floor.units, floor.macs, market, metric, summary, folder.path if folder else None, stage.model,
        stage.tokenizer,
    )  # fmt: skip
    if folder is not None:
        finish(folder, result, config.block)
    return result


def parameters(model: nn.Module) -> int:
    """Parameters of a whole model."""
    return sum(p.numel() for p in model.parameters())


def figures(market: ComputeMarket, floor: Floor, valuation: Valuation, budgets: Budgets) -> dict[str, Any]:
    """The last round in words and numbers, as `result.json` and the tables have it."""
    last, keep = market.rounds[-1], market.ledger.quantity > 0
    macs = last.used * floor.macs.dense if budgets.resources[0] is floor.macs else floor.macs.used(keep)
    return {
        "rounds": market.round, "budget": last.budget, "used": last.used, "price": last.price,
        "welfare": last.welfare, "revenue": last.revenue, "status": last.status, "unit": valuation.unit,
        "method": "" if market.clearing is None else market.clearing.method, "residual": last.residual,
        "heads": last.funded.get("head", 0), "ffn": last.funded.get("ffn", 0), "units": len(floor.units),
        "length": floor.macs.length,
        "macs": macs, "dense_macs": floor.macs.dense, "resource": budgets.resources[0].name,
        "budgets": budgets.figures(market, keep),
    }  # fmt: skip


def finish(folder: RunFolder, result: Result, block: int) -> None:
    """Write allocation, report and, last of all, the result."""
    write_allocation(folder.path, allocation_columns(result.units, result.gates), block)
    folder.write_weights(result.repaired())
    write_report(folder, result)
    folder.write_result(result.summary)
