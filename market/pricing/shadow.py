"""The shadow price of a budget, cleared anew at every step of training."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.market.pricing.pricing import Pricing
from walras.market.schedule import check_budget
from walras.mechanisms import LogisticBids, ShadowPrice


@final
@dataclass(frozen=True)
class ShadowPricing(Pricing):
    """Clears a market at every step of training: the price is that at which demand for compute meets the supply.

    Units are logistic bidders. With l_i the logit of unit i's probability to be open at price 0, c_i its compute and T
    a temperature:

        open_i = sigmoid((l_i - p c_i) / T),   p such that sum_i c_i open_i = supply

    The constraint holds at every step, without a multiplier that has to be found, and p is differentiable (one Newton
    step at the root), so that training moves along the budget: a unit's gain is the others' loss. Supply falls
    linearly from 1 to the budget with the first `fall` of the priced training, and T from 1 to `cool`, so that at the
    end gates are almost open or almost closed. Nothing is added to the loss. `price`, in units of the loss for the
    dense model's whole compute, is minus the slope of the loss in the supply, as a moving average.
    """

    budget: float
    fall: float = 0.7
    cool: float = 0.25
    price: float = 0.0
    steered: bool = True

    def __post_init__(self) -> None:
        check_budget(self.budget)
        for name in ("fall", "cool"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a share above 0 and at most 1")

    def supply(self, at: float) -> float:
        """The supply of this step."""
        return 1 - (1 - self.budget) * min(at / self.fall, 1.0)

    def logits(self, value: Tensor, share: Tensor, left: Tensor, at: float) -> Tensor:
        """(l - p c) / T [n], in double precision."""
        temperature = self.cool ** min(at, 1.0)
        bids = LogisticBids(value.double(), temperature)
        cost = share.double()
        clearing = ShadowPrice()(bids, left.double().clamp(min=0.0), cost)
        logits: Tensor = (bids.score - clearing.price * cost) / temperature
        return logits

    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """0: the budget is kept already."""
        del at
        return torch.zeros_like(cost)

    def after(self, cost: float, at: float, slope: float | None = None) -> "ShadowPricing":
        """The same with the price moved towards minus the slope."""
        del cost, at
        return self if slope is None else replace(self, price=0.95 * self.price - 0.05 * slope)
