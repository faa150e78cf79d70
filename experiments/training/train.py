"""`walras train`: from settings to a run folder with a smaller model in it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pandas as pd
import torch
from torch import Tensor, nn

from walras.agents import Calibration
from walras.errors import InputError
from walras.experiments.recipes import resolved
from walras.experiments.run import Plan, Progress, Silent, Stage, run_plan
from walras.experiments.tasks import Task
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.economy import Economy
from walras.experiments.training.folder import TrainFolder
from walras.experiments.training.processes import accelerator_of
from walras.experiments.training.rows import Batches, split
from walras.experiments.training.stage import TrainPlan, TrainStage
from walras.experiments.training.summary import finish, latency, summarised
from walras.experiments.training.trainer import Trainer
from walras.models import Inventory
from walras.models.objective import Objective
from walras.models.resources.activation_cost import ActivationCost

if TYPE_CHECKING:
    from accelerate import Accelerator


@final
@dataclass(frozen=True)
class Trained:
    """What a training run leaves: the smaller model, the units that stay, bool [n], and what result.json holds."""

    model: nn.Module
    tokenizer: Any
    units: Inventory
    keep: Tensor
    steps: pd.DataFrame  # a row a step: loss, seconds, expected cost and price
    judged: pd.DataFrame  # a row an evaluation on held-out rows
    summary: dict[str, Any]


@final
@dataclass(frozen=True)
class Start:
    """The network that training begins with: the dense one, or what a recipe left of it."""

    model: nn.Module
    keep: Tensor  # bool [n]
    scores: dict[str, float]  # before it is trained, on the evaluation split
    cleared: Mapping[str, Any] = field(default_factory=dict)  # the recipe's own mechanism, valuation and rounds


def train(
    config: TrainConfig,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train under a price of computation; write the run folder `out` where one is given.

    Raises:
        InputError: bad settings or data, before a network is loaded or a file written.
        TrainingError: the loss was no number.
    """
    progress = progress or Silent()
    folder = None if out is None else TrainFolder(out, config.as_yaml(), overwrite, resume)
    plan = TrainPlan.of(config)
    accelerator = accelerator_of(config)
    progress = progress if accelerator.is_main_process else Silent()
    step = progress.add_task(f"Dense model on {plan.task.name}", total=None)
    stage = TrainStage.of(config, str(accelerator.device))
    learning = split(stage.task, config.held_out, config.limit, config.seed)
    progress.update(step, description="Where training begins")
    start = _start(plan, stage, learning)
    trainer = _trainer(plan, stage, learning, start, accelerator, folder)
    if folder is not None and not (resume and trainer.resume()) and accelerator.is_main_process:
        folder.begin()
    bar = progress.add_task("Training", total=trainer.steps)
    trainer.tell = lambda done, text: progress.update(bar, completed=done, description=text)
    small = trainer.fit()
    keep = start.keep if trainer.keep is None else trainer.keep.cpu()
    progress.update(bar, description=f"Smaller model on {plan.task.name}")
    summary = summarised(trainer, stage, small, keep, start)
    accelerator.wait_for_everyone()  # else others would compute while forward passes are timed
    summary["latency_ms"] = latency(stage.model, small, config.length) if accelerator.is_main_process else {}
    steps, judged = pd.DataFrame(trainer.now.log), pd.DataFrame(trainer.now.judged)
    result = Trained(small, stage.tokenizer, stage.floor.units, keep, steps, judged, summary)
    if folder is not None and accelerator.is_main_process:
        finish(folder, result, stage, config)
    accelerator.wait_for_everyone()
    return result


def _start(plan: TrainPlan, stage: TrainStage, learning: Task) -> Start:
    """A copy of the dense network or, by the recipe of the settings, of a part of it."""
    config, units = plan.config, stage.floor.units
    if config.recipe is None:
        return Start(copy.deepcopy(stage.model), torch.ones(len(units), dtype=torch.bool), stage.scores)
    names = ("model", "task", "data", "budget", "recipe", "block", "length", "sentences", "batch_size", "seed")
    run = resolved({name: getattr(config, name) for name in names})
    reference = learning.reference(stage.model, stage.tokenizer, **stage.sizes)
    floor = Stage(stage.model, stage.tokenizer, learning, stage.floor, reference, nan, stage.sizes)
    found = run_plan(Plan.of(run), floor, None, Silent())
    small = found.compact()
    scores = stage.task.scores(
        small, stage.tokenizer, stage.task.reference(stage.model, stage.tokenizer, **stage.sizes), **stage.sizes
    )
    cleared = {name: found.summary[name] for name in ("mechanism", "valuation", "rounds")}
    return Start(small, (found.gates > 0).cpu(), scores, cleared)


def _trainer(
    plan: TrainPlan, stage: TrainStage, learning: Task, start: Start, accelerator: "Accelerator",
    folder: TrainFolder | None,
) -> Trainer:  # fmt: skip
    """The trainer before its first step."""
    config, tokenizer, sizes, device = plan.config, stage.tokenizer, stage.sizes, accelerator.device
    batches = Batches(
        learning, tokenizer, config.batch_size, config.length, config.seed, accelerator.process_index,
        accelerator.num_processes,
    )  # fmt: skip
    drawn = learning.calibration(tokenizer, sentences=config.sentences, seed=config.seed, **sizes)
    valued_by = stage.task.objective(stage.model, config.label_free)
    calibration = Calibration(start.model, stage.floor.units, valued_by, drawn, stage.floor.macs.share, stage.model)
    share = torch.from_numpy(stage.floor.macs.share).to(device)
    economy = None
    if config.pricing != "none":
        loss = torch.tensor(_loss(start.model, stage.objective, batches), device=device)
        pricing = plan.pricing(float(accelerator.reduce(loss, reduction="mean")))
        value = None
        if config.values and config.cost == "macs":
            everyone = torch.ones(len(share), device=device)
            value = plan.valuation(calibration, everyone, torch.Generator().manual_seed(config.seed))
        assert pricing is not None
        economy = Economy.of(stage.floor.units, share, pricing, config.taxed, value)
        economy.gates.to(device)
        _check_reach(config, economy)
    parts = {"heads": config.taxed != "ffn", "ffn": config.taxed != "heads"}
    activations = ActivationCost(stage.floor.units, config.cost == "invariant", **parts)
    reference = learning.reference(stage.model, tokenizer, **sizes)
    sign = 1.0 if learning.higher_is_better else -1.0
    judge = partial(learning.evaluate, tokenizer=tokenizer, reference=reference, batch_size=config.batch_size,
                    length=config.length)  # fmt: skip
    return Trainer(
        accelerator, config, start.model, stage.floor.units, stage.objective, batches,
        lambda model: sign * judge(model), economy=economy, activations=None if config.cost == "macs" else activations,
        teacher=stage.model.eval() if config.distil else None,
        valuation=plan.valuation, calibration=calibration, repair=plan.repair,
        folder=None if folder is None else folder.path,
    )  # fmt: skip


def _check_reach(config: TrainConfig, economy: Economy) -> None:
    """Refuse a budget below what is left when everything that is taxed has gone."""
    floor = economy.floor
    if economy.pricing.steered and config.budget < floor - 1e-9:
        raise InputError(
            f"budget {config.budget:g} cannot be reached: {config.taxed} alone are taxed, and what is not taxed uses "
            f"{floor:.4f} of the dense model's compute; valid: from {floor:.4f} on"
        )


@torch.no_grad()
def _loss(model: nn.Module, objective: Objective, batches: Batches) -> float:
    """Mean loss of the first batches of the network as it is, which scales prices."""
    model.eval()
    losses = [float(objective(model, batches.at(i), torch.Generator().manual_seed(i))) for i in range(8)]
    return sum(losses) / len(losses)
