"""A tax whose price is given."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

from torch import Tensor

from walras.errors import InputError
from walras.market.pricing.pricing import Pricing
from walras.market.pricing.rises import RISES, Memory, Rise


@final
@dataclass(frozen=True)
class Tax(Pricing):
    """Adds price * cost to the task's loss, with cost a share of the dense model's compute.

    This is Eq. 5 of the paper. The whole price holds from the first step on, or comes in by a rise (`RISES`), which
    says what share of it is asked for as training goes on. There is no budget: units use what the price leaves.

    Attributes:
        price: the tax.
        rise: a rise, or its name with parameters.
        memory: of the rise.
    """

    price: float
    rise: str | Rise = "constant"
    memory: Memory = ()

    def __post_init__(self) -> None:
        if isinstance(self.price, bool) or not 0 <= self.price < float("inf"):
            raise InputError(f"price is {self.price!r}; it must be a number of at least 0")
        _ = self.rising  # whatever is wrong with it is found before training

    @cached_property
    def rising(self) -> Rise:
        """The rise as an object."""
        return RISES.make(self.rise)

    def paid(self, at: float) -> float:
        """The price as far as it has risen."""
        return self.price * self.rising.asked(at, self.memory)

    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """price * cost, the price as far as it has risen."""
        return self.paid(at) * cost

    def after(self, cost: float, at: float, slope: float | None = None) -> "Tax":
        """The same, one step on in its rise."""
        del slope
        rise = self.rising
        return replace(self, rise=rise, memory=rise.remembered(at, cost, self.memory))

    def state(self) -> dict[str, Any]:
        """What training changes, and the price."""
        return {"price": self.price, "memory": list(self.memory)}

    def restored(self, state: Mapping[str, Any]) -> "Tax":
        """The same tax in a state that was saved."""
        memory = tuple(map(float, state["memory"]))
        return replace(self, price=float(state["price"]), rise=self.rising, memory=memory)
