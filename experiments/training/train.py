"""`walras train`: from settings to a run folder with a smaller model in it."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Any, final

import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from walras.agents import VALUATIONS, Calibration, Valuation
from walras.experiments.export import write
from walras.experiments.floor import Floor
from walras.experiments.folder import write_whole
from walras.experiments.plugins import build, find_class
from walras.experiments.recipes import resolved
from walras.experiments.result import allocation_columns
from walras.experiments.run import Plan, Progress, Silent, Stage, find_task, parameters, run_plan
from walras.experiments.tasks import Task
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.economy import Economy
from walras.experiments.training.folder import TrainFolder
from walras.experiments.training.rows import Batches, split
from walras.experiments.training.trainer import Trainer
from walras.market.pricing import Cleared, DualAscent, Pricing, Tax
from walras.mechanisms import MECHANISMS, Mechanism
from walras.models import Inventory, macs
from walras.models.activation_cost import ActivationCost
from walras.models.latency_measure import sample_batch
from walras.models.loading import load
from walras.models.timing import interleaved

LATENCY = {1: 8, 32: 3}  # sequences of a forward pass: repeats


@final
@dataclass(frozen=True)
class Trained:
    """What a training run leaves: the smaller model, the units that stay, bool [n], and what result.json holds."""

    model: nn.Module
    tokenizer: Any
    units: Inventory
    keep: Tensor
    steps: pd.DataFrame
    summary: dict[str, Any]


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
    learning, task = split(find_task(config.task, config.data), config.held_out, config.limit, config.seed)
    rule = find_class("mechanism", config.mechanism, MECHANISMS, Mechanism)
    mechanism: Mechanism = build("mechanism", rule)
    valuation: Valuation = build("valuation", find_class("valuation", config.valuation, VALUATIONS, Valuation))
    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=config.precision)
    step = progress.add_task("Loading the model", total=None)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # of a new head
        model, tokenizer = load(
            config.model, task.head, device=str(accelerator.device), trust_remote_code=config.trust_remote_code,
            classes=task.labels(),
        )  # fmt: skip
    floor = Floor.of(model, config.block, config.length)
    sizes = {"batch_size": config.batch_size, "length": config.length}
    progress.update(step, description=f"Dense model on {task.name}")
    dense = task.scores(model, tokenizer, task.reference(model, tokenizer, **sizes), **sizes)
    before, start, keep = copy.deepcopy(model), model, torch.ones(len(floor.units), dtype=torch.bool)
    after_recipe: dict[str, float] = {}
    if config.recipe is not None:
        progress.update(step, description=f"Removing units by {config.recipe}")
        start, keep, after_recipe = _pruned(config, floor, tokenizer, learning, sizes)
    batches = Batches(
        learning, tokenizer, config.batch_size, config.length, config.seed, accelerator.process_index,
        accelerator.num_processes,
    )  # fmt: skip
    objective = task.objective(model, False)
    reference = learning.reference(before, tokenizer, **sizes)
    share = torch.from_numpy(floor.macs.share).to(accelerator.device, torch.float32)
    drawn = learning.calibration(tokenizer, sentences=config.sentences, seed=config.seed, **sizes)
    calibration = Calibration(start, floor.units, objective, drawn, floor.macs.share)
    economy = None
    if config.pricing != "none":
        value = None
        if config.values and config.cost == "macs":
            progress.update(step, description=f"Values: {config.valuation}")
            value = valuation(calibration, torch.ones_like(share), torch.Generator().manual_seed(config.seed))
        loss = _loss(start, objective, batches)
        economy = Economy.of(floor.units, share, _pricing(config, mechanism, loss), config.taxed, value)
        economy.gates.to(accelerator.device)
    parts = {"heads": config.taxed != "ffn", "ffn": config.taxed != "heads"}
    trainer = Trainer(
        accelerator, config, start, floor.units, objective, batches,
        partial(learning.evaluate, tokenizer=tokenizer, reference=reference, **sizes),
        economy=economy,
        activations=None if config.cost == "macs" else ActivationCost(floor.units, config.cost == "invariant", **parts),
        teacher=before.eval() if config.distil else None,
        valuation=valuation, calibration=calibration, folder=None if folder is None else folder.path,
        tell=lambda done, steps, text: progress.update(bar, completed=done, description=text),
    )  # fmt: skip
    if folder is not None and not (resume and trainer.resume()):
        folder.begin()
    bar = progress.add_task("Training", total=trainer.steps)
    small = trainer.fit()
    keep = trainer.keep.cpu() if trainer.keep is not None else keep
    progress.update(bar, description=f"Smaller model on {task.name}")
    value_now = task.scores(small, tokenizer, task.reference(before, tokenizer, **sizes), **sizes)
    summary = {
        **{name: getattr(config, name) for name in ("mechanism", "valuation", "task", "model", "seed", "recipe")},
        "pricing": config.pricing, "cost": config.cost, "taxed": config.taxed, "epochs": config.epochs,
        **_economics(trainer, floor, small, keep),
        "metric": {"name": task.metric, "dense": dense[task.metric], "value": value_now[task.metric]},
        "scores": value_now, "dense_scores": dense, "after_recipe": after_recipe,
        "parameters": parameters(small), "dense_parameters": parameters(before),
        "seconds": round(sum(row["seconds"] for row in trainer.now.log), 2),
        "steps": trainer.now.step, "held_out": trainer.now.best,
        "latency_ms": _latency(before, small, config.length),
    }  # fmt: skip
    result = Trained(small, tokenizer, floor.units, keep, pd.DataFrame(trainer.now.log), summary)
    if folder is not None and accelerator.is_main_process:
        _finish(folder, result, before, trainer, config)
    return result


def _pricing(config: TrainConfig, mechanism: Mechanism, loss: float) -> Pricing:
    """The pricing of the settings in its first state; `loss` is the one that training begins with."""
    if config.pricing == "tax":
        return Tax(float(config.price or 0.0), config.rise)
    if config.pricing == "cleared":
        return Cleared.of(mechanism, config.budget, config.rounds, config.schedule)
    return DualAscent(config.budget, config.ascent * max(loss, 1e-6))


@torch.no_grad()
def _loss(model: nn.Module, objective: Any, batches: Batches) -> float:
    """Mean loss of the first batches of the network as it is, which scales prices."""
    model.eval()
    losses = [float(objective(model, batches.at(i), torch.Generator().manual_seed(i))) for i in range(8)]
    return sum(losses) / len(losses)


def _pruned(
    config: TrainConfig, floor: Floor, tokenizer: Any, task: Task, sizes: Mapping[str, int]
) -> tuple[nn.Module, Tensor, dict[str, float]]:
    """What a recipe leaves of the network, which units those are, and its metric before it is trained."""
    names = ("model", "task", "data", "budget", "recipe", "block", "length", "sentences", "batch_size", "seed")
    run = resolved({name: getattr(config, name) for name in names})
    plan = Plan.of(run)
    reference = task.reference(floor.model, tokenizer, **sizes)
    stage = Stage(floor.model, tokenizer, task, floor, reference, nan, dict(sizes))
    result = run_plan(plan, stage, None, Silent())
    return result.compact(), (result.gates > 0).cpu(), {task.metric: result.metric["value"]}


def _economics(trainer: Trainer, floor: Floor, small: nn.Module, keep: Tensor) -> dict[str, Any]:
    """Budget, use and price, as `result.json` has them."""
    config, economy = trainer.config, trainer.economy
    kept = keep.numpy()
    used = float(floor.macs.share[kept].sum())
    heads = floor.units.kind == "head"
    expected = [row["cost"] for row in trainer.now.log if "cost" in row]
    length = floor.macs.length
    counted = macs(small, floor_units(small, config.block), length).dense
    return {
        "budget": config.budget, "used": used, "rounds": config.rounds if config.pricing == "cleared" else 1,
        "price": economy.pricing.price if economy is not None else None,
        "expected": expected[-1] if expected and config.cost == "macs" else None,
        "welfare": None, "revenue": None,
        "heads": int((kept & heads).sum()), "ffn": int((kept & ~heads).sum()), "units": len(floor.units),
        "length": length, "macs": counted, "dense_macs": floor.macs.dense,
    }  # fmt: skip


def floor_units(model: nn.Module, block: int) -> Inventory:
    """Units of a model as it is."""
    return Floor.of(model, block, 4).units


def _latency(dense: nn.Module, small: nn.Module, length: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a forward pass by sequences in it, of the dense and the smaller model, called in turn."""
    found = {}
    for rows, repeats in LATENCY.items():
        batch = sample_batch(dense, rows, length)
        times = interleaved([partial(dense.eval(), **batch), partial(small, **batch)], repeats)
        found[str(rows)] = {"dense": 1e3 * times[0], "value": 1e3 * times[1]}
    return found


def _finish(folder: TrainFolder, result: Trained, dense: nn.Module, trainer: Trainer, config: TrainConfig) -> None:
    """Write the model, the tables and, last of all, the result."""
    summary = {**result.summary, "trained": True}
    figures = write(dense, result.model, result.tokenizer, folder.path / "model", summary, onnx=False, overwrite=True)
    summary["bytes"] = sum(figures["bytes"].values())
    folder.write_allocation(allocation_columns(result.units, result.keep.float()), config.block)
    folder.write_table("steps", result.steps)
    folder.write_table("judged", pd.DataFrame(trainer.now.judged))
    write_whole(folder.path / "result.json", json.dumps(summary, indent=2) + "\n")
    folder.forget_checkpoint()
