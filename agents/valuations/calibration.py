"""The network, the loss and the data with which units are valued."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import Inventory, gated
from walras.models.architectures import layer_paths, submodule
from walras.models.distillation import Distillation
from walras.models.objective import Batch, Objective
from walras.models.repair.layerwise_runner import LayerwiseRunner, held
from walras.models.repair.streams import features

KEPT = 2**29
"""Predictions of the dense network that are kept, of all batches together: 2 GiB in float32, which is 10,900 tokens of
a language model of 49,152 words."""


@final
class Calibration:
    """What valuations may look at. Holds the network weakly, so that a market that keeps this never keeps it alive.

    `batches` are what the objective takes; `cost` [n] is each unit's share of the dense model's compute; `dense` is the
    network before any unit left and any weight was repaired, by default `model` itself; units below `layer` are not
    valued.
    """

    def __init__(
        self,
        model: nn.Module,
        inventory: Inventory,
        objective: Objective,
        batches: Sequence[Batch],
        cost: NDArray[np.float64],
        dense: nn.Module | None = None,
        layer: int = 0,
    ) -> None:
        if not batches:
            raise InputError("there is no calibration data: the list of batches is empty")
        self._model = weakref.ref(model)
        self._dense = self._model if dense is None else weakref.ref(dense)
        self.inventory = inventory
        self.objective = objective
        self.batches = batches
        self.cost = cost
        self.layer = layer
        self._targets: dict[tuple[int, float], Distillation] = {}
        self._ascents: weakref.WeakKeyDictionary[nn.Module, LayerwiseRunner] = weakref.WeakKeyDictionary()

    def above(self, layer: int) -> "Calibration":
        """The same for the units of `layer` and those above: gradients of units below are 0, and cost nothing.

        What enters the layer is kept, so that the layers below are not run for every valuation. Their weights must not
        change as long as one asks for the same layer, or a higher one; asking for a lower one begins anew.
        """
        view = Calibration(self.model, self.inventory, self.objective, self.batches, self.cost, self.dense, layer)
        view._targets, view._ascents = self._targets, self._ascents
        return view

    def distillation(self, place: int, batch: Batch, temperature: float) -> Distillation:
        """How far from the dense network's predictions of `batch`, which is number `place`, at a temperature.

        The dense network is run once for each batch, as long as there is room to keep its predictions.
        """
        key = place, temperature
        if key in self._targets:
            return self._targets[key]
        with at_rest(self.dense):
            found = Distillation.of(self.dense, batch, self.objective.rows, temperature)
        if sum(kept.target.numel() for kept in (*self._targets.values(), found)) <= KEPT:
            self._targets[key] = found
        return found

    @property
    def model(self) -> nn.Module:
        """The network, for as long as somebody else holds it."""
        return held(self._model)

    @property
    def dense(self) -> nn.Module:
        """The network as it was, for as long as somebody else holds it; without gates it is the dense network."""
        return held(self._dense)

    @cached_property
    def dense_gradients(self) -> Tensor:
        """Each sample's gradient [samples, n] in float64 with respect to the gates, all of them open; taken once."""
        open_ = torch.ones(len(self.inventory), device=next(self.model.parameters()).device)
        seeded = torch.Generator().manual_seed(0)
        return torch.cat([g.double().cpu() for g in self.sample_gradients(open_, seeded)])

    @cached_property
    def dense_information(self) -> Tensor:
        """Mean squares [n] of these gradients: the diagonal of the empirical Fisher information."""
        return self.dense_gradients.square().mean(0)

    def sample_gradients(self, gates: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """For every batch, each sample's gradient [samples, n] of its loss with respect to its own gates.

        One forward and one backward pass a batch: every sample has a copy of the gates [n] to itself.
        """
        model = self.model
        with at_rest(model):
            for place, _ in enumerate(self.batches):
                yield self.gradients(model, self.objective, place, gates, generator)

    @torch.enable_grad()
    def gradients(
        self, model: nn.Module, objective: Objective, place: int, gates: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Each sample's gradient [samples, n] on batch number `place`, by an objective of one's own.

        The model is `at_rest`.
        """
        batch = self.batches[place]
        samples = samples_of(batch, objective)
        own = gates.detach().expand(samples, -1).clone().requires_grad_()
        begun = self._climbed(model, place, gates) if objective.replays else self._from_layer(model)
        with begun, gated(model, self.inventory, own, objective.rows):
            (gradient,) = _slopes(objective(model, batch, generator), [own])
        return gradient * samples

    @torch.enable_grad()
    def feature_gradients(
        self, batch: Batch, gates: Tensor, generator: torch.Generator
    ) -> tuple[list[Tensor], list[Tensor], int]:
        """What goes into every output projection, gates applied, how each sample's loss depends on it, and samples.

        One tensor a site, [rows, positions, width] or as the family has it; the model is `at_rest`.
        """
        model, samples = self.model, samples_of(batch, self.objective)
        own = gates.detach().clone().requires_grad_()
        with gated(model, self.inventory, own), features(model, self.inventory) as seen:
            with self._from_layer(model):
                loss = self.objective(model, batch, generator)
            slopes = _slopes(loss, seen)
        return [x.detach() for x in seen], [slope * samples for slope in slopes], samples

    @contextmanager
    def _climbed(self, model: nn.Module, place: int, gates: Tensor) -> Iterator[None]:
        """Begin batch number `place` at our layer, with what enters it under the gates."""
        if self.layer == 0:  # weights below may change before a higher layer is asked for
            self._ascents.pop(model, None)
            yield
            return
        if model not in self._ascents:
            self._ascents[model] = LayerwiseRunner(model, self.batches)
        ascent = self._ascents[model]
        with gated(model, self.inventory, gates.detach()):
            ascent.climb(self.layer, gates[: int((self.inventory.layer < self.layer).sum())])
        with ascent.entered(place):
            yield

    @contextmanager
    def _from_layer(self, model: nn.Module) -> Iterator[None]:
        """Record what gradients need from our layer on only."""
        if self.layer == 0:
            yield
            return
        entering = submodule(model, layer_paths(model)[self.layer])
        with torch.no_grad():
            handle = entering.register_forward_pre_hook(_record)
            try:
                yield
            finally:
                handle.remove()


def _record(module: nn.Module, args: object) -> None:
    """Switch gradients on; the context that switched them off restores what was before."""
    del module, args
    torch.set_grad_enabled(True)


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


def samples_of(batch: Batch, objective: Objective) -> int:
    """Samples of a batch."""
    samples, left_over = divmod(_rows(batch), objective.rows)
    if left_over:
        raise InputError(f"a batch of {_rows(batch)} rows does not divide into samples of {objective.rows} rows")
    return samples


def _slopes(loss: Tensor, of: Sequence[Tensor]) -> list[Tensor]:
    """Gradient of a finite loss with respect to tensors; 0 where it does not depend on one of them.

    Raises:
        InputError: a loss that is not finite, or depends on none of them.
    """
    if not loss.isfinite():
        raise InputError(f"the loss of a calibration batch is {loss.item()}; it must be finite")
    asked = [x for x in of if x.requires_grad]
    found = torch.autograd.grad(loss, asked, allow_unused=True) if loss.requires_grad else [None] * len(asked)
    if all(slope is None for slope in found):
        raise InputError("the loss does not depend on the model's output; it cannot value any unit")
    by_tensor = dict(zip(map(id, asked), found, strict=True))
    return [torch.zeros_like(x) if (slope := by_tensor.get(id(x))) is None else slope for x in of]


def _rows(batch: Batch) -> int:
    """Rows that go through the model: of the input, or else of the first tensor of a batch."""
    for name in ("input_ids", "inputs_embeds", "pixel_values"):
        if name in batch:
            return len(batch[name])
    return len(next(iter(batch.values())))
