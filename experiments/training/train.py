"""`walras train`: from settings to a run folder with a smaller model in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pandas as pd
import torch
from torch import Tensor, nn

from walras.agents import Calibration
from walras.experiments.forward_times import forward_times
from walras.experiments.progress import Progress, Silent
from walras.experiments.settings.names import NONE
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.subjects.subject import Subject
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.folder import TRAINING
from walras.experiments.training.loop.processes import accelerator_of
from walras.experiments.training.loop.rows import Batches
from walras.experiments.training.loop.state import resume as resume_from_checkpoint
from walras.experiments.training.loop.trainer import Trainer
from walras.experiments.training.price.economy import Economy, check_foldable
from walras.experiments.training.stage import TrainPlan, TrainStage, task_data
from walras.experiments.training.start import Start, starting_network
from walras.experiments.training.summary import TrainSummary, summarised
from walras.experiments.training.writing import write_run
from walras.experiments.unit_costs import UnitCosts
from walras.models import Inventory
from walras.models.objective import Objective
from walras.models.resources.activation_cost import ActivationCost

if TYPE_CHECKING:
    from accelerate import Accelerator

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
    accelerator = accelerator_of(config)
    if folder is None or not accelerator.is_main_process:
        return _trained(plan, accelerator, folder, progress if accelerator.is_main_process else Silent())
    with folder.held():
        return _trained(plan, accelerator, folder, progress)


def _trained(
    plan: TrainPlan, accelerator: "Accelerator", folder: ResultFolder | None, progress: Progress
) -> TrainResult:
    """The same, where nobody else writes to the folder."""
    config = plan.config
    step = progress.add_task(f"Dense model on {plan.task.name}", total=None)
    stage = TrainStage.load(config, str(accelerator.device))
    learning, costs = stage.learning(config), UnitCosts.measure(stage.subject, plan.market)
    progress.update(step, description="Where training begins")
    start = starting_network(plan, stage, learning, costs)
    trainer = _trainer(plan, stage, learning, costs, start, accelerator, folder)
    if folder is not None and folder.goes_on:
        resume_from_checkpoint(trainer)
    if folder is not None and accelerator.is_main_process:
        folder.begin()
    bar = progress.add_task("Training", total=trainer.steps)
    trainer.tell = lambda done, text: progress.update(bar, completed=done, description=text)
    small = trainer.fit()
    keep = start.keep if trainer.keep is None else trainer.keep.cpu()
    progress.update(bar, description=f"Smaller model on {plan.task.name}")
    summary = summarised(trainer, stage, costs, small, keep, start)
    accelerator.wait_for_everyone()  # else others would compute while forward passes are timed
    if accelerator.is_main_process:
        summary = replace(summary, latency_ms=forward_times(stage.subject.model, small, stage.subject.length, TIMED))
    steps, evaluations = pd.DataFrame(trainer.state.log), pd.DataFrame(trainer.state.evaluations)
    result = TrainResult(small, stage.subject.tokenizer, costs.units, keep, steps, evaluations, summary)
    if folder is not None and accelerator.is_main_process:
        write_run(folder, result, stage.subject.model, config.market.block)
    accelerator.wait_for_everyone()
    return result


def _trainer(
    plan: TrainPlan, stage: TrainStage, learning: Subject, costs: UnitCosts, start: Start, accelerator: "Accelerator",
    folder: ResultFolder | None,
) -> Trainer:  # fmt: skip
    """The trainer before its first step."""
    config, dense, data = plan.config, stage.subject.model, task_data(learning)
    objective = stage.task.objective(dense, False)
    batches = Batches(
        data.task, learning.tokenizer, config.subject.batch_size, learning.length, config.seed,
        accelerator.process_index, accelerator.num_processes,
    )  # fmt: skip
    valued_by = stage.task.objective(dense, config.market.label_free)
    drawn = data.batches(config.market.sentences, config.seed)
    calibration = Calibration(start.model, costs.units, valued_by, drawn, costs.macs.share, dense)
    economy = None
    if config.economy.pricing != NONE:
        loss = torch.tensor(_loss(start.model, objective, batches), device=accelerator.device)
        economy = _economy(plan, calibration, float(accelerator.reduce(loss, reduction="mean")), accelerator.device)
    sign = 1.0 if data.higher_is_better else -1.0
    return Trainer(
        accelerator, config, start.model, costs.units, objective, batches,
        lambda model: sign * data.evaluate(model), economy=economy, activations=_activations(config, costs.units),
        teacher=dense.eval() if config.optimiser.distil else None,
        valuation=plan.market.valuation, calibration=calibration, repair=plan.market.repair,
        folder=None if folder is None else folder.path,
    )  # fmt: skip


def _economy(plan: TrainPlan, calibration: Calibration, loss: float, device: torch.device) -> Economy:
    """Gates and their price before the first step; `loss` scales it."""
    config, units, pricing = plan.config, calibration.inventory, plan.pricing(loss)
    assert pricing is not None
    if config.economy.cost == "macs":
        check_foldable(units)
    share = torch.from_numpy(calibration.cost).to(device)
    value = None
    if config.economy.init_gates_by_value and config.economy.cost == "macs":
        everyone = torch.ones(len(units), device=device)
        value = plan.market.valuation(calibration, everyone, torch.Generator().manual_seed(config.seed))
    economy = Economy.start(units, share, pricing, config.economy.kind, value)
    economy.gates.to(device)
    economy.check_reach(config.budget, config.economy.taxed)
    return economy


def _activations(config: TrainConfig, units: Inventory) -> ActivationCost | None:
    """What is priced instead of gates, where activations are."""
    prices = config.economy
    if prices.cost == "macs":
        return None
    parts = {"heads": prices.kind != "ffn", "ffn": prices.kind != "head"}
    return ActivationCost(units, prices.cost == "invariant", **parts)


@torch.no_grad()
def _loss(model: nn.Module, objective: Objective, batches: Batches) -> float:
    """Mean loss of the first batches of the network as it is, which scales prices."""
    model.eval()
    losses = [float(objective(model, batches.at(i), torch.Generator().manual_seed(i))) for i in range(8)]
    return sum(losses) / len(losses)
