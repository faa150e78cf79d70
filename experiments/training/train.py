"""`walras train`: from settings to a run folder with a smaller model in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pandas as pd
import torch
from torch import Tensor, nn

from walras.experiments.forward_times import forward_times
from walras.experiments.progress import Progress, Silent
from walras.experiments.settings.names import NONE
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.subjects.subject import Subject
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.folder import CHECKPOINT, TRAINING
from walras.experiments.training.loop.batches import Batches
from walras.experiments.training.loop.processes import processes_of
from walras.experiments.training.stage import TrainPlan, TrainStage, task_data
from walras.experiments.training.start import Start, starting_network
from walras.experiments.training.summary import TrainSummary, summarised
from walras.experiments.training.writing import write_run
from walras.experiments.unit_costs import UnitCosts
from walras.models import Inventory
from walras.models.objective import Objective
from walras.models.resources.activation_cost import ActivationCost

if TYPE_CHECKING:
    from accelerate import PartialState

    from walras.experiments.training.loop.run import Run

TIMED = {1: 8, 32: 3}  # sequences of a forward pass: repeats


@final
@dataclass(frozen=True)
class TrainResult:
    """What a training run leaves.

    Attributes:
        model: the smaller network, trained.
        tokenizer: its tokenizer.
        units: of the dense network.
        keep: units that stay, bool [n].
        steps: one row per step: loss, seconds, expected cost and price.
        evaluations: one row per evaluation on held-out rows, more being better.
        summary: the figures, as `result.json` has them.
    """

    model: nn.Module
    tokenizer: Any
    units: Inventory
    keep: Tensor
    steps: pd.DataFrame
    evaluations: pd.DataFrame
    summary: TrainSummary


def train(
    config: TrainConfig | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train under a price of computation; write the run folder `out` where one is given.

    Args:
        config: settings, or values of some of them by name: `{"task": "sst2", "budget": 0.5}`.
        out: the run folder.
        overwrite: replace the run that the folder holds.
        resume: go on from the last checkpoint of the run that the folder holds.
        progress: is told of every step.

    Raises:
        InputError: bad settings or data, before a network is loaded or a file written.
        TrainingError: the loss was no number.
    """
    config = config if isinstance(config, TrainConfig) else TrainConfig.parse(config)
    progress = progress or Silent()
    folder = None if out is None else ResultFolder(out, TRAINING, config, overwrite=overwrite, resume=resume)
    plan = TrainPlan.from_config(config)
    processes = processes_of(config)
    if folder is None or not processes.is_main_process:
        return _trained(plan, processes, folder, progress if processes.is_main_process else Silent())
    with folder.held():
        return _trained(plan, processes, folder, progress)


def _trained(
    plan: TrainPlan, processes: "PartialState", folder: ResultFolder | None, progress: Progress
) -> TrainResult:
    """The same, where nobody else writes to the folder."""
    from walras.experiments.training.loop.fit import fit

    config = plan.config
    step = progress.add_task(f"Dense model on {plan.task.name}", total=None)
    stage = TrainStage.load(config, str(processes.device))
    learning, costs = stage.learning(config), UnitCosts.measure(stage.subject, plan.market)
    progress.update(step, description="Where training begins")
    start = starting_network(plan, stage, learning, costs)
    run = _run(plan, stage, learning, costs, start)
    bar = progress.add_task("Training", total=run.steps)

    def tell(done: int, text: str) -> None:
        progress.update(bar, completed=done, description=text)

    if folder is not None:
        begin = folder.begin if processes.is_main_process else lambda: None
        run = replace(run, folder=folder.path / CHECKPOINT, resume=folder.goes_on, begin=begin)
    trained = fit(replace(run, tell=tell))
    keep = start.keep if trained.keep is None else trained.keep
    progress.update(bar, description=f"Smaller model on {plan.task.name}")
    summary = summarised(config, trained, stage, costs, keep, start)
    processes.wait_for_everyone()  # else others would compute while forward passes are timed
    if processes.is_main_process:
        latency = forward_times(stage.subject.model, trained.model, stage.subject.length, TIMED)
        summary = replace(summary, latency_ms=latency)
    result = TrainResult(
        trained.model, stage.subject.tokenizer, costs.units, keep, trained.steps, trained.evaluations, summary
    )
    if folder is not None and processes.is_main_process:
        write_run(folder, result, stage.subject.model, config.market.block)
    processes.wait_for_everyone()
    return result


def _run(plan: TrainPlan, stage: TrainStage, learning: Subject, costs: UnitCosts, start: Start) -> "Run":
    """The run before its first step, without a folder."""
    from walras.experiments.training.loop.fit import priced_steps
    from walras.experiments.training.loop.run import Run, Valued
    from walras.experiments.training.loop.task_loss import ActivationTax, TaskLoss

    config, dense, data = plan.config, stage.subject.model, task_data(learning)
    batches = Batches(data.task, learning.tokenizer, config.subject.batch_size, learning.length, config.seed)
    objective = stage.task.objective(dense, False)
    valued = tax = None
    if config.economy.pricing != NONE:
        first = _loss(start.model, objective, batches)
        if config.economy.cost == "macs":
            drawn = data.batches(config.market.sentences, config.seed)
            valued = Valued([*drawn], stage.task.objective(dense, config.market.label_free), first)
        else:
            pricing, steps = plan.pricing(first), config.optimiser.epochs * len(batches)
            assert pricing is not None
            tax = ActivationTax(activation_cost(config, costs.units), pricing, priced_steps(config, steps))
    sign = 1.0 if data.higher_is_better else -1.0
    return Run(
        config, start.model, dense.eval(), batches, TaskLoss(objective, config.seed, tax),
        lambda model: sign * data.evaluate(model), valued,
    )  # fmt: skip


def activation_cost(config: TrainConfig, units: Inventory) -> ActivationCost:
    """What is priced instead of gates, where activations are."""
    prices = config.economy
    parts = {"heads": prices.kind != "ffn", "ffn": prices.kind != "head"}
    return ActivationCost(units, prices.cost == "invariant", **parts)


@torch.no_grad()
def _loss(model: nn.Module, objective: Objective, batches: Batches) -> float:
    """Mean loss of the first batches of the network as it is, which scales prices."""
    model.eval()
    losses = [float(objective(model, batches.at(i), torch.Generator().manual_seed(i))) for i in range(8)]
    return sum(losses) / len(losses)
