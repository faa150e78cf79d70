"""What a network is trained by in `walras train`: the task's loss, what is distilled, and what activations cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.experiments.training.price.distilled import Distilled
from walras.experiments.training.price.network import network_of
from walras.market.pricing import Pricing
from walras.models.objective import Batch, Objective
from walras.models.resources.activation_cost import ActivationCost


@final
@dataclass
class ActivationTax:
    """A tax on activations, in the place of one on units: nobody leaves.

    Attributes:
        cost: of a network's activations.
        pricing: a tax in its present state, which adds to the loss of a batch.
        steps: in which it is paid.
    """

    cost: ActivationCost
    pricing: Pricing
    steps: int

    def go_on(self, step: int, cost: float) -> None:
        """The tax after a step, counted from 0, in which activations have cost so much."""
        self.pricing = self.pricing.after(cost, step / self.steps)


@final
@dataclass(frozen=True)
class StepLoss:
    """The loss of a step.

    Attributes:
        total: what is trained on [].
        own: the task's part of it.
        paid: cost and price of activations, where these are taxed.
    """

    total: Tensor
    own: float
    paid: Mapping[str, float]


@final
@dataclass(frozen=True)
class TaskLoss:
    """The loss of a step's batch.

    Attributes:
        objective: the task's loss.
        seed: of whatever the objective draws, together with the step's number.
        tax: on activations.
        distilled: watches the network, where the dense one is distilled and no price does that.
    """

    objective: Objective
    seed: int
    tax: ActivationTax | None = None
    distilled: Distilled | None = None

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> StepLoss:
        """The loss of a batch in a step, counted from 0."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + step) % 2**63)
        if self.tax is None or step >= self.tax.steps:
            total, paid = self.objective(model, batch, generator), dict[str, float]()
            own = float(total.detach())
        else:
            with self.tax.cost.measured(network_of(model)) as measured:
                total = self.objective(model, batch, generator)
            own, cost, at = float(total.detach()), measured(batch), step / self.tax.steps
            total = total + self.tax.pricing.penalty(cost, at)
            paid = {"cost": float(cost.detach()), "price": self.tax.pricing.paid(at)}
        if self.distilled is not None:
            total = total + self.distilled.taken()
        return StepLoss(total, own, paid)
