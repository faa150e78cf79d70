"""How far training has come, and what it was: kept in checkpoints, from which training resumes bit by bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from walras.experiments.training.loop.checkpoint import (
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
)

if TYPE_CHECKING:
    from walras.experiments.training.loop.trainer import Trainer

_EARLIER = {"judged": "evaluations"}  # fields by their names in checkpoints of earlier versions


@final
@dataclass
class TrainerState:
    """How far training has come; what a checkpoint holds beside tensors."""

    step: int = 0
    settled: bool = False
    best: float = -np.inf
    without_gain: int = 0
    log: list[dict[str, float]] = field(default_factory=list)  # one row per step
    evaluations: list[dict[str, float]] = field(default_factory=list)  # one row per evaluation on held-out rows

    @staticmethod
    def from_plain(state: Mapping[str, Any]) -> "TrainerState":
        """The state that a checkpoint holds."""
        return TrainerState(**{_EARLIER.get(name, name): value for name, value in state.items()})


def save(trainer: "Trainer") -> None:
    """Write a checkpoint, where there is a folder; one process does."""
    if trainer.folder is None or not trainer.accelerator.is_main_process:
        return
    economy, scaler = trainer.economy, trainer.accelerator.scaler
    tensors: dict[str, Mapping[str, Tensor]] = {
        "model": dict(trainer.model.named_parameters()),
        "best": trainer.best,
        "optimizer": optimizer_tensors(trainer.optimizer),
        "economy": {} if economy is None else dict(economy.gates.state_dict()),
        "keep": {} if trainer.keep is None else {"keep": trainer.keep},
    }
    state = {
        "now": vars(trainer.state), "pricing": None if economy is None else economy.pricing.state(),
        "scaler": None if scaler is None else scaler.state_dict(),
    }  # fmt: skip
    save_checkpoint(trainer.folder / "checkpoint", trainer.state.step, tensors, state)


@torch.no_grad()
def resume(trainer: "Trainer") -> bool:
    """Go back to the newest checkpoint of the trainer's folder; False where there is none."""
    found = None if trainer.folder is None else read_checkpoint(trainer.folder / "checkpoint")
    if found is None:
        return False
    groups, state = found
    trainer.state = TrainerState.from_plain(state["now"])
    if trainer.economy is not None:
        trainer.economy.gates.load_state_dict(groups["economy"])
        trainer.economy.pricing = trainer.economy.pricing.restored(state["pricing"])
    if groups["keep"]:
        trainer.keep = groups["keep"]["keep"]
        trainer.shrink()
    for name, parameter in trainer.model.named_parameters():
        parameter.copy_(groups["model"][name])
    trainer.best = {k: v.to(trainer.accelerator.device) for k, v in groups["best"].items()}
    restore_optimizer(trainer.optimizer, groups["optimizer"])
    if trainer.accelerator.scaler is not None:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    return True
