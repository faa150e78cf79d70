"""A network that is trained under a price, the dense one that it came from, and what its units are worth and cost."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.agents import Calibration
from walras.errors import InputError
from walras.experiments.plan import Plan
from walras.experiments.subjects.checks import check_batches
from walras.experiments.subjects.objectives import objective_of
from walras.experiments.tasks.base import on_device
from walras.experiments.training.price.economy import check_foldable
from walras.experiments.training.price.given import Given
from walras.experiments.training.price.network import check_cut, from_first_process, network_of, widest
from walras.experiments.training.price.settings import PriceSettings
from walras.models import Inventory, inventory
from walras.models.distillation import Distillation
from walras.models.export.copying import shared_copy
from walras.models.fingerprint import fingerprint
from walras.models.objective import ModelLoss
from walras.models.repair.repair import ModelPair
from walras.models.resources import RESOURCES, Workload

FIRST = 8  # batches whose mean loss scales prices


@final
@dataclass(frozen=True, eq=False)
class PricedNetwork:
    """What stays the same while a price is paid.

    Attributes:
        settings: of the price.
        plan: the same with names resolved.
        model: the network in training.
        dense: what it was before, which is never changed.
        units: of the dense network, n of them.
        given: batches on which units are valued, where the network is, by what they are, and the loss.
        share: of the dense network's MACs that each unit uses [n].
    """

    settings: PriceSettings
    plan: Plan
    model: nn.Module
    dense: nn.Module
    units: Inventory
    given: Given
    share: NDArray[np.float64]

    @staticmethod
    def of(
        model: nn.Module,
        given: Given,
        settings: PriceSettings,
        dense: nn.Module | None = None,
    ) -> "PricedNetwork":
        """Count the units of what is trained, or of the network in it; see `Price`.

        Raises:
            InputError: whatever is wrong with network, batches or settings.
        """
        plan, network = settings.plan(), network_of(model)
        if settings.cut:
            check_cut(network)
        elif plan.repair is not None:
            check_cut(network, ", nor repaired: use repair='none'")
        before: nn.Module = untouched(network) if dense is None else dense.to(next(network.parameters()).device)
        units = units_of(before, settings)
        if not len(units):
            raise InputError(f"{type(network).__name__} has no units that could pay")
        check_foldable(units)
        check_batches(given.batches, before, "batches")
        found = [on_device(batch, network) for batch in given.batches]
        if settings.distil:
            Distillation.from_dense(before, found[0])  # that there is something to distil
        length = settings.length or widest(found)
        macs = RESOURCES.make("macs").measure(before, units, Workload(1, length))
        return PricedNetwork(settings, plan, network, before, units, replace(given, batches=found), macs.share)

    @cached_property
    def calibration(self) -> Calibration:
        """What valuations look at."""
        batches, label_free = self.given.batches, self.settings.market.label_free
        objective = self.given.objective or objective_of(self.dense, batches[0], label_free)
        return Calibration(self.model, self.units, objective, batches, self.share, self.dense)

    @property
    def device(self) -> torch.device:
        """Of the network."""
        return next(self.model.parameters()).device

    @property
    def smaller(self) -> bool:
        """Whether the network has fewer weights than the dense one."""
        now, before = (sum(p.numel() for p in one.parameters()) for one in (self.model, self.dense))
        return now < before

    @cached_property
    def fingerprint(self) -> str:
        """Of the dense network."""
        return fingerprint(self.dense)

    def values(self, open_: Tensor, generator: torch.Generator) -> Tensor:
        """What every unit is worth now [n], where only those are there whose gate `open_` [n] is 1."""
        return from_first_process(self.plan.valuation(self.calibration, open_, generator))

    def repair(self, keep: Tensor) -> None:
        """Re-fit what those that stay (bool [n]) write to what the dense network writes, where that is wanted."""
        if self.plan.repair is None or bool(keep.all()):
            return
        was, _ = self.model.training, self.model.eval()
        with ModelPair.from_models(self.model, self.dense, self.units, self.given.batches) as pair:
            self.plan.repair(pair, keep.cpu().numpy())
        self.model.train(was)

    @torch.no_grad()
    def first_loss(self) -> float:
        """Mean loss of the first batches of the network as it is; 1 where nobody can say what it is."""
        loss, batches = self.given.loss, self.given.batches
        if isinstance(loss, (int, float)):
            return float(loss)
        rule = loss or (_own_loss if "labels" in batches[0] else None)
        if rule is None:
            return 1.0
        was, _ = self.model.training, self.model.eval()
        losses = [float(rule(self.model, batch)) for batch in batches[:FIRST]]
        self.model.train(was)
        return sum(losses) / len(losses)


def units_of(dense: nn.Module, settings: PriceSettings) -> Inventory:
    """The units of a network that pay by these settings."""
    plan = settings.plan()
    return inventory(dense, plan.kinds, plan.spec.market.block, cuttable=settings.cut)


def untouched(network: nn.Module) -> nn.Module:
    """A copy of a network with weights of its own, in evaluation mode, that nothing trains."""
    return shared_copy(network, [*network.parameters(), *network.buffers()]).eval().requires_grad_(False)


def _own_loss(model: nn.Module, batch: Any) -> Tensor:
    return ModelLoss()(model, batch, torch.Generator())
