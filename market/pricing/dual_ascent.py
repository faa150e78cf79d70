"""The shadow price of a budget, found while the network is trained."""

from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from walras.errors import InputError
from walras.market.pricing.pricing import Pricing
from walras.market.schedule import check_budget

REST = 10.0  # by what the curvature is multiplied in the end, at most


@final
@dataclass(frozen=True)
class DualAscent(Pricing):
    """Minimises the task's loss subject to cost = budget, by gradient ascent on the multipliers of the Lagrangian:

        L_task + price * (cost - target) + curvature * (cost - target)^2
        price     <- price     + rate * (cost - target)
        curvature <- curvature + rate * (cost - target)^2

    (Wang et al. 2020, arXiv 1910.04732, section 3.2; used for transformers by Xia et al. 2022, arXiv 2204.00408). The
    target falls linearly from 1 to the budget with the first `fall` of training; gates come to rest in what is left of
    it, and `stiffness` counts the curvature up to `REST` times as they slow down, so that cost and target meet. `rate`
    is in units of the loss: a loss twice as large needs prices twice as high.
    """

    budget: float
    rate: float
    price: float = 0.0
    curvature: float = 0.0
    fall: float = 0.7
    steered: bool = True

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if not 0 < self.rate < float("inf"):
            raise InputError(f"the rate of dual ascent is {self.rate!r}; it must be a number above 0")
        if not 0 <= self.fall <= 1:
            raise InputError(f"the target falls with the first {self.fall!r} of training; valid: a share from 0 to 1")

    def supply(self, at: float) -> float:
        """The target: what the cost should be now."""
        gone = min(at / self.fall, 1.0) if self.fall else 1.0
        return 1 - (1 - self.budget) * gone

    def stiffness(self, at: float) -> float:
        """The curvature as it counts now: gates whose rate has fallen to a third bear three times as much."""
        still = (1 - at) / (1 - self.fall) if at > self.fall else 1.0
        return self.curvature / max(still, 1 / REST)

    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """The Lagrangian's term."""
        over = cost - self.supply(at)
        return self.price * over + self.stiffness(at) * over.square()

    def after(self, cost: float, at: float, slope: float | None = None) -> "DualAscent":
        """Both multipliers, one step on."""
        del slope
        over = cost - self.supply(at)
        return replace(self, price=self.price + self.rate * over, curvature=self.curvature + self.rate * over**2)
