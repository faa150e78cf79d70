"""One step of a training under a price: drawn gates on the network, and what comes back through them."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.training.price.economy import Economy
from walras.experiments.training.price.trained_gates import TrainedGates
from walras.market.pricing import Pricing
from walras.models import Inventory


@final
class PricedStep:
    """Gates that are drawn once, however many batches are run.

    Batches add to the gradients of the drawn gates and of the expected cost, which are no part of any graph;
    `backward` takes their sums on, to the gates' logits and to the supply.

    Attributes:
        at: how much of the priced training is over.
        gates: on the network.
        cost: that the gates are expected to use, a share of the dense network's compute.
    """

    def __init__(
        self, network: nn.Module, units: Inventory, economy: Economy, at: float, generator: torch.Generator
    ) -> None:
        self.at, self._now = at, economy.step(at)
        self._drawn = economy.gates.sample(self._now.logits, generator)
        self.gates = TrainedGates(network, units, self._drawn, economy.gates.at_rest(self._now.logits.detach()))
        self._expected = self._now.cost.detach().clone().requires_grad_()
        self.cost = float(self._expected.detach())

    def penalty(self, pricing: Pricing) -> Tensor:
        """What the loss of a batch grows by []."""
        return pricing.penalty(self._expected, self.at)

    @property
    def slope(self) -> float | None:
        """Of the loss in the supply, after `backward`; None where the pricing has none."""
        return None if self._now.left.grad is None else float(self._now.left.grad)

    def backward(self, pricing: Pricing, scale: float, mean: Callable[[Tensor], Tensor]) -> bool:
        """Gradients of the gates' logits, from what the batches have added up.

        Args:
            pricing: as in `penalty`.
            scale: by which gradients are too large.
            mean: over processes.

        Returns:
            Whether all are numbers; the logits get none where they are not, which mixed precision expects now and then.

        Raises:
            InputError: no batch has been through the network and back, or none with its penalty.
        """
        gates = mean(self.gates.gradient()) / scale
        cost = self._expected.grad
        if cost is None and self.penalty(pricing).requires_grad:
            raise InputError("a step of the price follows loss.backward(), and penalty() has not been in this loss")
        cost = torch.zeros_like(self._expected) if cost is None else mean(cost) / scale
        if not bool(gates.isfinite().all() and cost.isfinite()):
            return False
        ends = [(self._drawn, gates.to(self._drawn)), (self._now.cost, cost.to(self._now.cost))]
        reached = [(end, gradient) for end, gradient in ends if end.requires_grad]
        if reached:
            torch.autograd.backward([end for end, _ in reached], [gradient for _, gradient in reached])
        return True
