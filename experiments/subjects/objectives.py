"""What units are valued by where nobody named a task: the loss of a batch, or how far outputs move."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.tasks.base import on_device
from walras.experiments.tasks.losses import Embeddings, OwnPredictions
from walras.models.objective import Batch, GivenLoss, ModelLoss, Objective, inputs_of
from walras.models.pooling import pooled

Loss = Callable[[nn.Module, Batch], Tensor]


def as_objective(loss: Any, name: str = "loss") -> Objective:
    """An objective as it is, a function as the mean loss of a batch.

    Raises:
        InputError: neither of them.
    """
    if isinstance(loss, Objective):
        return loss
    if not callable(loss):
        raise InputError(f"{name} is {loss!r}; it must be a function of a model and a batch")
    return GivenLoss(loss)


def objective_of(model: nn.Module, batch: Batch, label_free: bool) -> Objective:
    """The loss that a network computes of a batch, where that may be used, or how far its outputs move.

    Outputs are its predictions where it has logits, else its embeddings.

    Raises:
        InputError: a network that has neither, where its loss may not be used, or there is none.
    """
    if not label_free and "labels" in batch:
        return ModelLoss()
    answer = _answer(model, batch)
    if not label_free and getattr(answer, "loss", None) is not None:  # labels by other names, such as start_positions
        return ModelLoss()
    logits = getattr(answer, "logits", None)
    if logits is not None:
        return OwnPredictions(by_position=logits.ndim == 3)
    if not hasattr(answer, "last_hidden_state"):
        raise InputError(
            f"{type(model).__name__} returns neither logits nor last_hidden_state; value its units with labels: "
            "label_free=False"
        )
    return Embeddings()


@torch.no_grad()
def _answer(model: nn.Module, batch: Batch) -> Any:
    return model(**inputs_of(on_device(batch, model)))


def outputs_of(model: nn.Module, batch: Batch) -> Tensor:
    """Most likely classes or tokens [rows or tokens], or embeddings of unit length [rows, d]; on the CPU."""
    answer, mask = _answer(model, batch), batch.get("attention_mask")
    if not hasattr(answer, "logits"):
        hidden: Tensor | None = getattr(answer, "last_hidden_state", None)
        if hidden is None:
            raise InputError(f"{type(model).__name__} returns neither logits nor last_hidden_state; give evaluate=...")
        return pooled(hidden, None if mask is None else mask.to(hidden.device)).cpu()
    likeliest: Tensor = answer.logits.argmax(-1)
    real = likeliest[mask.to(likeliest.device).bool()] if likeliest.ndim == 2 and mask is not None else likeliest
    return real.flatten().cpu()
