"""A tax that is fixed before training begins."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from walras.errors import InputError, UnknownNameError
from walras.market.pricing.pricing import Pricing

RISES = ("constant", "linear", "quadratic")


@final
@dataclass(frozen=True)
class Tax(Pricing):
    """Adds price * cost to the task's loss, with cost a share of the dense model's compute.

    This is Eq. 5 of the paper. The price holds from the first step on, or rises from 0 during the first half of
    training, linearly or with the square of time, and holds then. There is no budget: units use what the price leaves.
    """

    price: float
    rise: str = "constant"

    def __post_init__(self) -> None:
        if isinstance(self.price, bool) or not 0 <= self.price < float("inf"):
            raise InputError(f"price is {self.price!r}; it must be a number of at least 0")
        if self.rise not in RISES:
            raise UnknownNameError("schedule of the tax", self.rise, RISES)

    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """price * cost, the price as far as it has risen."""
        risen = min(2 * at, 1.0) ** {"constant": 0, "linear": 1, "quadratic": 2}[self.rise]
        return self.price * risen * cost
