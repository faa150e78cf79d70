"""What a training run came to: the figures of `result.json`, and the folder of a run that has finished."""

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from walras.experiments.export import write
from walras.experiments.result import allocation_columns
from walras.experiments.run import parameters
from walras.experiments.store.run_folder import write_allocation, write_table, write_whole
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.folder import TrainFolder
from walras.experiments.training.report import write_report
from walras.experiments.training.stage import TrainStage
from walras.experiments.training.trainer import Trainer
from walras.market.pricing import Cleared
from walras.models import inventory, macs
from walras.models.resources.latency_measure import sample_batch
from walras.models.resources.timing import interleaved

if TYPE_CHECKING:
    from walras.experiments.training.train import Start, Trained

LATENCY = {1: 8, 32: 3}  # sequences of a forward pass: repeats


def summarised(trainer: Trainer, stage: TrainStage, small: nn.Module, keep: Tensor, start: "Start") -> dict[str, Any]:
    """The figures, all but latency."""
    config, task = trainer.config, stage.task
    reference = task.reference(stage.model, stage.tokenizer, **stage.sizes)
    scores = task.scores(small, stage.tokenizer, reference, **stage.sizes)
    metric = {
        "name": task.metric, "dense": stage.scores[task.metric], "value": scores[task.metric],
        "higher_is_better": task.higher_is_better,
    }  # fmt: skip
    names = ("mechanism", "valuation", "task", "model", "seed", "recipe", "pricing", "cost", "taxed", "epochs")
    return {
        **{name: getattr(config, name) for name in names},
        **_economics(trainer, stage, small, keep), **start.cleared,
        "metric": metric, "scores": scores, "dense_scores": stage.scores,
        "untrained_scores": start.scores if config.recipe else None,
        "protocol": task.protocol(stage.tokenizer, config.length),
        "parameters": parameters(small), "dense_parameters": parameters(stage.model),
        "seconds": round(sum(row["seconds"] for row in trainer.now.log), 2), "steps": trainer.now.step,
        "held_out": trainer.now.best if task.higher_is_better else -trainer.now.best,
    }  # fmt: skip


def _economics(trainer: Trainer, stage: TrainStage, small: nn.Module, keep: Tensor) -> dict[str, Any]:
    """Budget, use and price."""
    config, economy, floor = trainer.config, trainer.economy, stage.floor
    kept, heads = keep.numpy(), floor.units.kind == "head"
    expected = [row["cost"] for row in trainer.now.log if "cost" in row]
    length = floor.macs.length
    return {
        "budget": config.budget, "used": float(floor.macs.share[kept].sum()),
        "rounds": economy.pricing.played if economy and isinstance(economy.pricing, Cleared) else 1,
        "price": None if economy is None else economy.pricing.price,
        "expected": expected[-1] if expected and config.cost == "macs" else None,
        "welfare": None, "revenue": None,  # nobody bids, but in a market that clears
        "heads": int((kept & heads).sum()), "ffn": int((kept & ~heads).sum()), "units": len(floor.units),
        "length": length, "macs": macs(small, inventory(small, block=config.block), length).dense,
        "dense_macs": floor.macs.dense,
    }  # fmt: skip


def latency(dense: nn.Module, small: nn.Module, length: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a forward pass by sequences in it, of the dense and the smaller model, called in turn."""
    found = {}
    for rows, repeats in LATENCY.items():
        batch = sample_batch(dense, rows, length)
        times = interleaved([partial(dense.eval(), **batch), partial(small, **batch)], repeats)
        found[str(rows)] = {"dense": 1e3 * times[0], "value": 1e3 * times[1]}
    return found


def finish(folder: TrainFolder, result: "Trained", stage: TrainStage, config: TrainConfig) -> None:
    """Write the model, the tables, the report and, last of all, the result."""
    place, summary = folder.path / "model", dict(result.summary)
    figures = write(stage.model, result.model, result.tokenizer, place, summary, onnx=False, overwrite=True)
    summary["bytes"] = sum(figures["bytes"].values())
    write_allocation(folder.path, allocation_columns(result.units, result.keep.float()), config.block)
    write_table(folder.path / "steps.parquet", result.steps)
    write_table(folder.path / "judged.parquet", result.judged)
    write_report(folder, result, summary)
    write_whole(folder.path / "result.json", json.dumps(summary, indent=2) + "\n")
    folder.forget_checkpoint()
