"""What a training run is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import final

from torch import nn

from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.batches import Batches
from walras.experiments.training.loop.task_loss import TaskLoss
from walras.models.fingerprint import fingerprint
from walras.models.objective import Batch, Objective


@final
@dataclass(frozen=True)
class Valued:
    """On what units are valued while a price is paid, by what, and the loss that training begins with."""

    batches: list[Batch]
    objective: Objective
    loss: float


@final
@dataclass(frozen=True)
class Run:
    """What a run is made of.

    Attributes:
        config: settings.
        model: the network, which is trained in place.
        dense: the network that it came from, which is not changed.
        batches: training rows.
        loss: of a batch.
        evaluate: the figure of a network on held-out rows, more being better.
        valued: where units pay; None where no price is paid, or one on activations.
        folder: of the checkpoints; None where none are kept.
        resume: go on from the newest of them.
        begin: is called before the first step, when nothing can be wrong any more.
        tell: is told how many steps are done, and how it goes.
    """

    config: TrainConfig
    model: nn.Module
    dense: nn.Module
    batches: Batches
    loss: TaskLoss
    evaluate: Callable[[nn.Module], float]
    valued: Valued | None
    folder: Path | None = None
    resume: bool = False
    begin: Callable[[], object] = lambda: None
    tell: Callable[[int, str], object] = lambda done, text: None

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.config.optimiser.epochs * len(self.batches)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the dense network and the training rows: what a checkpoint must agree on besides settings."""
        rows = "\n".join(map(repr, self.batches.rows))
        return sha256(f"{fingerprint(self.dense)}\n{rows}".encode()).hexdigest()
