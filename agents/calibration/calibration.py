"""The network, the loss and the data with which units are valued."""

import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.agents.calibration.derivatives import at_rest, loss_gradients, recorded_from, samples_of
from walras.agents.calibration.traded_units import TradedUnits
from walras.errors import InputError
from walras.models import Inventory, gated
from walras.models.distillation import Distillation
from walras.models.objective import Batch, Objective
from walras.models.repair.layerwise_runner import LayerwiseRunner, held
from walras.models.repair.streams import features

MAX_KEPT_PREDICTIONS = 2**29
"""Predictions of the dense network that are kept at most, of all batches together: 2 GiB in float32, which is 10,900
tokens of a language model of 49,152 words."""


@final
class Calibration(TradedUnits):
    """What valuations may look at: a network, its units and what they cost, a loss, and data.

    It holds the network weakly, so that a market that keeps this never keeps the network alive.

    Args:
        model: the network, as it is now.
        inventory: its units.
        objective: the loss.
        batches: what the objective takes.
        cost: share [n] of the dense network's amount of the leading resource that each unit uses. The leading resource
            is the first that the market sells, MACs or another: `Usage.share`. Valuations that weigh by cost use this.
        dense: the network before any unit left and any weight was repaired; `model` itself by default.
        layer: units below it are not valued.
        repair_batches: what repairs are fitted on; `batches` by default. They need more of them than valuations do.

    Raises:
        InputError: no batches, or costs that are not one per unit.
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
        repair_batches: Sequence[Batch] | None = None,
    ) -> None:
        if not batches or (repair_batches is not None and not repair_batches):
            raise InputError("there is no calibration data: the list of batches is empty")
        if np.shape(cost) != (len(inventory),):
            raise InputError(f"cost has shape {np.shape(cost)}; it needs one share for each of {len(inventory)} units")
        self._model = weakref.ref(model)
        self._dense = self._model if dense is None else weakref.ref(dense)
        self.inventory = inventory
        self.objective = objective
        self.batches = batches
        self.repair_batches = batches if repair_batches is None else repair_batches
        self.cost = cost
        self.layer = layer
        self._targets: dict[tuple[int, float], Distillation] = {}
        self._runners: weakref.WeakKeyDictionary[nn.Module, LayerwiseRunner] = weakref.WeakKeyDictionary()

    def above(self, layer: int) -> "Calibration":
        """The same for the units of `layer` and those above: gradients of units below are 0, and cost nothing.

        What enters the layer is kept, so that the layers below are not run for every valuation. Their weights must not
        change as long as one asks for the same layer, or a higher one; asking for a lower one begins anew.
        """
        view = Calibration(
            self.model, self.inventory, self.objective, self.batches, self.cost, self.dense, layer, self.repair_batches
        )
        view._targets, view._runners = self._targets, self._runners
        return view

    @property
    def device(self) -> torch.device:
        """That of the network."""
        return next(self.model.parameters()).device

    def network(self, what: str) -> "Calibration":
        """Itself."""
        del what
        return self

    def distillation(self, place: int, batch: Batch, temperature: float) -> Distillation:
        """The distance from the dense network's predictions of `batch`, which is number `place`, at a temperature.

        The dense network is run once per batch, as long as there is room to keep its predictions.
        """
        key = place, temperature
        if key in self._targets:
            return self._targets[key]
        with at_rest(self.dense):
            found = Distillation.from_dense(self.dense, batch, self.objective.rows, temperature)
        if sum(kept.target.numel() for kept in (*self._targets.values(), found)) <= MAX_KEPT_PREDICTIONS:
            self._targets[key] = found
        return found

    @property
    def model(self) -> nn.Module:
        """The network, for as long as it is held elsewhere."""
        return held(self._model)

    @property
    def dense(self) -> nn.Module:
        """The network as it was, for as long as it is held elsewhere; without gates it is the dense network."""
        return held(self._dense)

    @cached_property
    def dense_gradients(self) -> Tensor:
        """Each sample's gradient [samples, n] in float64 with respect to the gates, all of them at 1; taken once."""
        open_ = torch.ones(len(self.inventory), device=next(self.model.parameters()).device)
        seeded = torch.Generator().manual_seed(0)
        return torch.cat([g.double().cpu() for g in self.sample_gradients(open_, seeded)])

    @cached_property
    def dense_information(self) -> Tensor:
        """Mean squares [n] of these gradients: the diagonal of the empirical Fisher information."""
        return self.dense_gradients.square().mean(0)

    def sample_gradients(self, gates: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Per batch, each sample's gradient [samples, n] of its loss with respect to its own gates.

        This takes one forward and one backward pass per batch: every sample has a copy of the gates [n] to itself.
        """
        model = self.model
        with at_rest(model):
            for place, _ in enumerate(self.batches):
                yield self.gradients(model, self.objective, place, gates, generator)

    @torch.enable_grad()
    def gradients(
        self, model: nn.Module, objective: Objective, place: int, gates: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Each sample's gradient [samples, n] on batch number `place`, of any network and by any objective.

        The model must be `at_rest`.
        """
        batch = self.batches[place]
        samples = samples_of(batch, objective)
        own = gates.detach().expand(samples, -1).clone().requires_grad_()
        running = self._from_our_layer(model, place, gates) if objective.replays else recorded_from(model, self.layer)
        with running, gated(model, self.inventory, own, objective.rows):
            (gradient,) = loss_gradients(objective(model, batch, generator), [own])
        return gradient * samples

    @torch.no_grad()
    def loss(self, gates: Tensor) -> float:
        """Mean loss under the gates [n], which may differ from those of an earlier call from our layer on.

        Label-free objectives whose loss says nothing stand back for the divergence from the dense network. The model
        must be `at_rest`.
        """
        total, count, model = 0.0, 0, self.model
        for place in range(len(self.batches)):
            batch, objective = self.batches[place], self.objective
            if not objective.trains:
                objective = self.distillation(place, batch, 2.0)
            samples = samples_of(batch, objective)
            running = self._from_our_layer(model, place, gates) if objective.replays else nullcontext()
            with running, gated(model, self.inventory, gates):
                total += samples * float(objective(model, batch, torch.Generator().manual_seed(0)))
            count += samples
        if not math.isfinite(total):
            raise InputError(f"the loss under these gates is {total / count}; it must be finite")
        return total / count

    @torch.enable_grad()
    def feature_gradients(
        self, batch: Batch, gates: Tensor, generator: torch.Generator
    ) -> tuple[list[Tensor], list[Tensor], int]:
        """Features of every site with gates applied, each sample's gradient with respect to them, and the samples.

        Both have one tensor per site, [rows, positions, width] or as the family has it. The model must be `at_rest`.
        """
        model, samples = self.model, samples_of(batch, self.objective)
        own = gates.detach().clone().requires_grad_()
        with gated(model, self.inventory, own), features(model, self.inventory) as seen:
            with recorded_from(model, self.layer):
                loss = self.objective(model, batch, generator)
            slopes = loss_gradients(loss, seen)
        return [x.detach() for x in seen], [slope * samples for slope in slopes], samples

    @contextmanager
    def _from_our_layer(self, model: nn.Module, place: int, gates: Tensor) -> Iterator[None]:
        """Begin batch number `place` at our layer, with what enters it under the gates."""
        if self.layer == 0:  # weights below may change before a higher layer is asked for
            self._runners.pop(model, None)
            yield
            return
        if model not in self._runners:
            self._runners[model] = LayerwiseRunner(model, self.batches)
        runner = self._runners[model]
        with gated(model, self.inventory, gates.detach()):
            runner.advance_to(self.layer, gates[: int((self.inventory.layer < self.layer).sum())])
        with runner.starting_at(place):
            yield
