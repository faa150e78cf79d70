"""Allocators that are a mechanism on the queries' bids: CLEAR in two forms, a posted price and a clock auction."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from walras.errors import InputError
from walras.market.queries.allocator import Allocator
from walras.market.queries.queries import Column, Queries
from walras.mechanisms import AscendingClock, Mechanism, PostedPrice, ShadowPrice
from walras.mechanisms.bids.threshold_bids import ThresholdBids


@dataclass(frozen=True)
class Cleared(Allocator):
    """Grants what a mechanism sells: the class that clears heads and FFN blocks clears queries."""

    def grant(self, queries: Queries, bids: ThresholdBids, budget: float) -> tuple[Column, float | None]:
        """Quantity and price of the clearing."""
        if len(queries) == 0:
            return queries.threshold, 0.0
        clearing = self.mechanism(queries.scale)(bids, torch.tensor(budget, dtype=torch.float64))
        return clearing.quantity.numpy(), clearing.price.item()

    @abstractmethod
    def mechanism(self, scale: float) -> Mechanism:
        """The rule; amounts of money are divided by `scale`, as the bids are."""


@final
@dataclass(frozen=True)
class Clear(Cleared):
    """CLEAR: one shadow price a token for the batch, and exact rationing of what jumps in demand leave over."""

    name: ClassVar[str] = "clear"

    def mechanism(self, scale: float) -> Mechanism:
        """`ShadowPrice`."""
        return ShadowPrice()


@final
@dataclass(frozen=True)
class PlainClear(Cleared):
    """CLEAR as bisection alone gives it: what demand's jumps leave over stays unspent."""

    name: ClassVar[str] = "clear-plain"

    def mechanism(self, scale: float) -> Mechanism:
        """`ShadowPrice` without rationing."""
        return ShadowPrice(rationed=False)


@final
@dataclass(frozen=True)
class Posted(Cleared):
    """A price a token, posted beforehand; too much demand is rationed, highest reservation price first."""

    price: float | None = None
    name: ClassVar[str] = "posted"

    def mechanism(self, scale: float) -> Mechanism:
        """`PostedPrice` at the price."""
        if self.price is None:
            raise InputError("allocator posted needs a price a token: --price on the command line, price= in Python")
        return PostedPrice(price=self.price / scale)


@final
@dataclass(frozen=True)
class Clock(Cleared):
    """An ascending clock: the price rises in steps of 5 % until what is asked for fits the budget."""

    name: ClassVar[str] = "clock"

    def mechanism(self, scale: float) -> Mechanism:
        """`AscendingClock`."""
        return AscendingClock()
