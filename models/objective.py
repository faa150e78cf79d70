"""What is to be kept when units leave: a loss, given a network and a batch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.user_code import user_code

Batch = Mapping[str, Tensor]
LABELS = "labels"


def inputs_of(batch: Batch) -> dict[str, Tensor]:
    """What a network is called with: everything of a batch but its labels."""
    return {name: tensor for name, tensor in batch.items() if name != LABELS}


def tokens_of(batch: Batch, inside: int = 1) -> int:
    """Real tokens of a batch; of pictures and the like, so many `inside` the network for each row."""
    mask = batch.get("attention_mask")
    if mask is not None:
        return int(mask.sum())
    first = next(iter(inputs_of(batch).values()))
    return first.numel() if not first.is_floating_point() else inside * len(first)


def over_tokens(loss: Tensor, mask: Tensor) -> Tensor:
    """Mean [] over rows of the mean over each row's real tokens, from loss and mask [rows, tokens]."""
    kept = mask.to(loss)
    return ((loss * kept).sum(-1) / kept.sum(-1).clamp(min=1)).mean()


class Objective(ABC):
    """A loss that is the mean over the samples of a batch; `rows` consecutive batch rows make one sample.

    Being a mean over samples that do not touch each other, its gradient with respect to sample b's own gates, times
    the number of samples, is the gradient of sample b's loss: one backward pass yields every sample's.

    `replays` says that the network is called once, with the whole batch, and that nothing else of it is looked at.
    `trains` is off where the gradient is noise with mean 0, whose size tells what units are worth: no network can be
    trained on it. `by_position` says that every position of a sample has a loss of its own, as a next token has, so
    that the sample's gradient is a sum of many terms of mean 0 that hardly depend on each other.

    What an objective of the user's own raises becomes a `UserCodeError` that names the file and the line.
    """

    rows: int = 1
    unit: ClassVar[str]  # of the loss, e.g. "nats"
    trains: ClassVar[bool] = True
    replays: ClassVar[bool] = False
    by_position: bool = False

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        own = vars(cls).get("__call__")
        if callable(own) and cls.__module__.split(".")[0] != "walras":
            setattr(cls, "__call__", user_code(f"loss {cls.__name__}")(own))  # noqa: B010  # mypy refuses an assignment

    @abstractmethod
    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean loss [] of a batch; whatever is random about it comes from `generator` (on the CPU)."""


@final
@dataclass(frozen=True)
class GivenLoss(Objective):
    """The user's own loss: a function of the model and a batch that returns the mean loss over the batch's samples."""

    function: Callable[[nn.Module, Batch], Tensor]
    rows: int = 1
    unit: ClassVar[str] = "loss"

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The function's answer, checked to be one finite number."""
        del generator
        with user_code("loss"):
            loss = self.function(model, batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise InputError(f"loss returned {loss!r}; it must be a tensor of one element, the mean over the batch")
        return loss.reshape(())


@final
@dataclass(frozen=True)
class ModelLoss(Objective):
    """The loss that a Hugging Face model computes itself where the batch holds labels."""

    unit: ClassVar[str] = "nats"

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """`model(**batch).loss`."""
        del generator
        loss: Tensor | None = getattr(model(**batch), "loss", None)
        if loss is None:
            raise InputError(f"{type(model).__name__} computes no loss of its own here; give one: loss=...")
        return loss


def squared_distance(outputs: Tensor, generator: torch.Generator) -> Tensor:
    """Half the squared distance [] of outputs [samples, d] to targets one unit off in a random direction.

    The error itself and its gradient are zero at the model's own outputs; what tells units apart is its curvature.
    With targets outputs + noise, noise of mean 0 and variance 1, the squared gradient with respect to a gate is in
    expectation |d outputs / d gate|^2, the Gauss-Newton curvature, which is also the Fisher information of a
    Gaussian with these outputs as its mean. Random signs have the smallest variance of all such noise (Hutchinson
    1990), none at all for d = 1. Needs no labels.
    """
    noise = torch.randint(2, outputs.shape, generator=generator) * 2 - 1
    target = outputs.detach() + noise.to(outputs)
    return (outputs - target).square().sum(-1).mean() / 2
