"""The interface of everything that prices computation while a network is trained."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, TypeVar

from torch import Tensor

from walras.registry import Registry

Self = TypeVar("Self", bound="Pricing")


class Pricing(ABC):
    """A price of compute in the loss. Concrete ones are final frozen dataclasses: `after` returns the next state.

    `cost` is the expected share of the dense model's compute that is used, from 0 to 1, and `at` how much of the
    priced training is over, from 0 to 1. Prices are in units of the task's loss for the dense model's whole compute.
    """

    price: float
    steered: bool = False  # whether it leads to a budget

    def paid(self, at: float) -> float:
        """The price that is paid now, for tables and plots; `price` unless a subclass says less."""
        del at
        return self.price

    def supply(self, at: float) -> float:
        """Compute that may be used now, as a share of the dense model's; all of it unless a subclass says less."""
        del at
        return 1.0

    def logits(self, value: Tensor, share: Tensor, left: Tensor, at: float) -> Tensor:
        """Logits [n] of every unit's probability to be open.

        Args:
            value: the same at price 0 [n].
            share: each unit's share of the dense model's compute [n].
            left: the part of the supply that is left for these units [].
            at: how much of the priced training is over.
        """
        del share, left, at
        return value

    @abstractmethod
    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """What is added to the task's loss [], differentiable in `cost` []."""

    def after(self: Self, cost: float, at: float, slope: float | None = None) -> Self:
        """The pricing of the next step, given this one's cost and the slope of its loss in the supply `left`."""
        del cost, at, slope
        return self

    def state(self) -> dict[str, Any]:
        """Its fields as plain data."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # concrete ones are dataclasses

    def restored(self: Self, state: Mapping[str, Any]) -> Self:
        """The same pricing in a state that was saved."""
        return replace(self, **state)  # type: ignore[type-var]


PRICINGS: Registry[Pricing] = Registry("pricing", Pricing)
