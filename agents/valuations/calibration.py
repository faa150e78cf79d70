"""The network, the loss and the data with which units are valued."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import Inventory, gated
from walras.models.objective import Batch, Objective


@final
class Calibration:
    """What valuations may look at. Holds the network weakly, so that a market that keeps this never keeps it alive.

    `batches` are what the objective takes; `cost` [n] is each unit's share of the dense model's compute; `dense` is the
    network before any unit left and any weight was repaired, by default `model` itself.
    """

    def __init__(
        self,
        model: nn.Module,
        inventory: Inventory,
        objective: Objective,
        batches: Sequence[Batch],
        cost: NDArray[np.float64],
        dense: nn.Module | None = None,
    ) -> None:
        if not batches:
            raise InputError("there is no calibration data: the list of batches is empty")
        self._model = weakref.ref(model)
        self._dense = self._model if dense is None else weakref.ref(dense)
        self.inventory = inventory
        self.objective = objective
        self.batches = batches
        self.cost = cost

    @property
    def model(self) -> nn.Module:
        """The network, for as long as somebody else holds it."""
        return _held(self._model)

    @property
    def dense(self) -> nn.Module:
        """The network as it was, for as long as somebody else holds it; without gates it is the dense network."""
        return _held(self._dense)

    def sample_gradients(self, gates: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """For every batch, each sample's gradient [samples, n] of its loss with respect to its own gates.

        One forward and one backward pass a batch: every sample has a copy of the gates [n] to itself.
        """
        model = self.model
        with at_rest(model):
            for batch in self.batches:
                yield self.gradients(model, self.objective, batch, gates, generator)

    @torch.enable_grad()
    def gradients(
        self, model: nn.Module, objective: Objective, batch: Batch, gates: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Each sample's gradient [samples, n] on one batch, by an objective of one's own; the model is `at_rest`."""
        rows = objective.rows
        samples, left_over = divmod(_rows(batch), rows)
        if left_over:
            raise InputError(f"a batch of {_rows(batch)} rows does not divide into samples of {rows} rows")
        own = gates.detach().expand(samples, -1).clone().requires_grad_()
        with gated(model, self.inventory, own, rows):
            loss = objective(model, batch, generator)
            if not loss.isfinite():
                raise InputError(f"the loss of a calibration batch is {loss.item()}; it must be finite")
            (gradient,) = torch.autograd.grad(loss, own, allow_unused=True) if loss.requires_grad else (None,)
        if gradient is None:
            raise InputError("the loss does not depend on the model's output; it cannot value any unit")
        return gradient * samples


def _held(reference: "weakref.ref[nn.Module]") -> nn.Module:
    model = reference()
    if model is None:
        raise InputError("the network of this market has been deleted; keep a reference to it while you trade")
    return model


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and no gradients to the weights; afterwards every part is as it was."""
    learning = [p for p in model.parameters() if p.requires_grad]
    training = [m for m in model.modules() if m.training]
    try:
        model.eval()
        for p in learning:
            p.requires_grad_(False)
        yield
    finally:
        for p in learning:
            p.requires_grad_(True)
        for m in training:
            m.training = True


def _rows(batch: Batch) -> int:
    """Rows that go through the model: of the input, or else of the first tensor of a batch."""
    for name in ("input_ids", "inputs_embeds", "pixel_values"):
        if name in batch:
            return len(batch[name])
    return len(next(iter(batch.values())))
