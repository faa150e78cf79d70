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
    """The tokens granted are what a mechanism sells: the class that clears heads and FFN blocks clears queries."""

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
    """All queries meet one shadow price per token, and what jumps in demand leave over is rationed exactly (CLEAR)."""

    name: ClassVar[str] = "clear"
    source: ClassVar[str] = "The Shadow Price of Reasoning, arXiv 2606.03092 (reconstructed)"

    def mechanism(self, scale: float) -> Mechanism:
        """`ShadowPrice`."""
        return ShadowPrice()


@final
@dataclass(frozen=True)
class PlainClear(Cleared):
    """All queries meet one shadow price per token, and what jumps in demand leave over stays unspent (plain CLEAR)."""

    name: ClassVar[str] = "clear-plain"
    source: ClassVar[str] = "The Shadow Price of Reasoning, arXiv 2606.03092 (reconstructed)"

    def mechanism(self, scale: float) -> Mechanism:
        """`ShadowPrice` without rationing."""
        return ShadowPrice(rationed=False)


@final
@dataclass(frozen=True)
class Posted(Cleared):
    """A price per token is posted beforehand, and excess demand is rationed, highest reservation price first."""

    price: float | None = None
    name: ClassVar[str] = "posted"

    def mechanism(self, scale: float) -> Mechanism:
        """`PostedPrice` at the price."""
        if self.price is None:
            raise InputError("allocator posted needs a price per token: --price on the command line, price= in Python")
        return PostedPrice(price=self.price / scale)


@final
@dataclass(frozen=True)
class Clock(Cleared):
    """The price per token rises in steps of 5 % until demand fits the budget (an ascending clock)."""

    name: ClassVar[str] = "clock"

    def mechanism(self, scale: float) -> Mechanism:
        """`AscendingClock`."""
        return AscendingClock()
