"""How far training has come, and what it was: kept in checkpoints, from which training resumes bit by bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.experiments.training.loop.checkpoint import (
    check_shapes,
    newest_checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from walras.files.contents import reading
from walras.files.record import Record

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
    def from_plain(state: Any) -> "TrainerState":
        """The state that a checkpoint holds.

        Raises:
            InputError: something is missing, or of another type.
        """
        plain = Record(state, "state of the checkpoint")
        now = Record({_EARLIER.get(name, name): plain.content[name] for name in plain}, plain.where)
        best = -np.inf if now.content.get("best") == -np.inf else now.number("best")
        log, evaluations = (_rows(now, name) for name in ("log", "evaluations"))
        return TrainerState(now.whole("step"), now.flag("settled"), best, now.whole("without_gain"), log, evaluations)


def _rows(state: Record, name: str) -> list[dict[str, float]]:
    """Rows of figures; a metric can be minus infinite."""
    for row in state.records(name):
        for column in row:
            if row.content[column] != -np.inf:
                row.number(column)
    return state.items(name)


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
    """Go back to the newest checkpoint of the trainer's folder; False where there is none.

    Raises:
        InputError: a checkpoint that is damaged, or of another network.
    """
    place = None if trainer.folder is None else newest_checkpoint(trainer.folder / "checkpoint")
    if place is None:
        return False
    try:
        with reading("checkpoint", place, LookupError, TypeError, RuntimeError, AttributeError):
            _restore(trainer, *read_checkpoint(place), what=f"checkpoint {str(place)!r}")
    except InputError as error:
        raise InputError(f"{error}; --overwrite begins the run anew") from error
    return True


def _restore(trainer: "Trainer", groups: Mapping[str, Mapping[str, Tensor]], state: Any, what: str) -> None:
    """Put everything back."""
    trainer.state = TrainerState.from_plain(state["now"])
    if trainer.economy is not None:
        trainer.economy.gates.load_state_dict(groups["economy"])
        trainer.economy.pricing = trainer.economy.pricing.restored(state["pricing"])
    if groups["keep"]:
        check_shapes(groups["keep"], {"keep": torch.empty(len(trainer.units))}, what)
        trainer.keep = groups["keep"]["keep"]
        trainer.shrink()
    parameters = dict(trainer.model.named_parameters())
    check_shapes(groups["model"], parameters, what)
    if groups["best"]:
        check_shapes(groups["best"], parameters, what)
    for name, parameter in parameters.items():
        parameter.copy_(groups["model"][name])
    trainer.best = {k: v.to(trainer.accelerator.device) for k, v in groups["best"].items()}
    restore_optimizer(trainer.optimizer, groups["optimizer"])
    if trainer.accelerator.scaler is not None:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
