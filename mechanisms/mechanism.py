"""The interface of every rule, and the two conversions between levels and resources."""

from abc import ABC, abstractmethod
from dataclasses import field
from typing import Any, ClassVar

import torch
from torch import Tensor

from walras.errors import ConformanceError, InputError, RequirementError, SupplyExceededError
from walras.mechanisms.bids.interface import Bids, expands
from walras.mechanisms.clearing import Clearing
from walras.mechanisms.traits import SEPARABLE

# How far a sum of quantities may exceed the supply by rounding alone, relative to the supply.
_ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-5}


def money(default: Any) -> Any:
    """A dataclass field that is an amount of money: it scales when all bids are scaled."""
    return field(default=default, metadata={"money": True})


def charge(cost: Tensor, price: Tensor) -> Tensor:
    """Price of one level to each agent [..., n], from cost [..., n, K] and the resources' prices [..., K].

    [..., 1] where one cost stands for all agents (expanded, as where none is given): one number instead of n.
    """
    if cost.shape[-2] and cost.stride(-2) == 0:
        cost = cost[..., :1, :]
    return (cost * price.unsqueeze(-2)).sum(-1)


def load(cost: Tensor, quantity: Tensor) -> Tensor:
    """Use of every resource [..., K] in float64, from cost [..., n, K] and quantity [..., n]."""
    if cost.shape[-2] and cost.stride(-2) == 0:
        return quantity.sum(-1, dtype=torch.float64).unsqueeze(-1) * cost.select(-2, 0)
    return (cost * quantity.unsqueeze(-1)).sum(-2, dtype=torch.float64)


def capacity(supply: Tensor) -> Tensor:
    """The most that may be used [..., K] in float64: the supply, and what rounding alone may add to a use of it.

    Costs and supply were rounded to their dtype: in float32, 36 costs of 1/72 may come to more than a supply of 1/2.
    """
    return supply.double() * (1 + max(1e-13, 2 * torch.finfo(supply.dtype).eps))


class Mechanism(ABC):
    """A rule that turns bids and supply into an allocation, prices and payments.

    It sees reports only: no network, no true values. Concrete rules are final frozen dataclasses that implement
    `clear`; whatever a rule learns from one round to the next it hands on through `after`. `clears` are the kinds of
    dependence (`CHAINED`) that a rule copes with although it requires separable bids; of `requires_one` a single trait
    is enough; `refuses` are traits that it cannot cope with.
    """

    price_floor: float = 0.0
    requires: ClassVar[frozenset[str]] = frozenset()
    requires_one: ClassVar[frozenset[str]] = frozenset()
    refuses: ClassVar[frozenset[str]] = frozenset()
    pays_bid: ClassVar[bool] = False  # whether winners pay what they bid, and not the price
    clears: ClassVar[frozenset[str]] = frozenset()
    guarantees: ClassVar[frozenset[str]] = frozenset()

    def __call__(
        self, bids: Bids, supply: Tensor | float | list[float], cost: Tensor | list[float] | None = None
    ) -> Clearing:
        """Clear a market after checking its input, and check that the outcome exceeds no supply.

        `supply` is a number or [..., K]; `cost` is [n] for one resource, [..., n, K] for several, and 1 a level
        where it is left out.
        """
        self.require(bids)
        if not self.price_floor < torch.inf:
            raise InputError(f"price_floor is {self.price_floor}; it must be a number, or -inf for none")
        supply, cost = _resources(bids.reservation_price(), supply, cost)
        clearing = self.clear(bids, supply, cost)
        self._check(clearing, bids, supply, cost)
        return clearing

    def require(self, bids: Bids) -> None:
        """Refuse bids of traits that the rule cannot clear.

        Raises:
            RequirementError: naming the trait that is missing, or in the way.
        """
        name, kind = type(self).__name__, type(bids).__name__
        lacks, refused = self.lacks(bids), self.refuses & bids.traits
        if lacks:
            raise RequirementError(
                f"{name} requires bids that are {' and '.join(sorted(lacks))}; {kind} are "
                f"{', '.join(sorted(bids.traits))}"
            )
        if refused:
            raise RequirementError(f"{name} refuses bids that are {' and '.join(sorted(refused))}")

    def lacks(self, bids: Bids) -> frozenset[str]:
        """Traits that the rule requires and the population has not."""
        lacks = self.requires - bids.traits
        if self.requires_one and not self.requires_one & bids.traits:
            lacks |= {" or ".join(sorted(self.requires_one))}
        return lacks - {SEPARABLE} if self.clears & bids.traits else lacks

    def fits(self, bids: Bids) -> bool:
        """Whether the rule takes bids of such traits."""
        return not self.lacks(bids) and not self.refuses & bids.traits

    @abstractmethod
    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """The rule itself: supply [..., K], cost [..., n, K], both finite and non-negative."""

    def after(self, bids: Bids, supply: Tensor, cost: Tensor, clearing: Clearing) -> "Mechanism":
        """The rule for the next round, having seen this one. Most rules learn nothing."""
        del bids, supply, cost, clearing
        return self

    def penalty(self, clearing: Clearing, gates: Tensor, supply: Tensor | float, cost: Tensor) -> Tensor:
        """Differentiable price of using `gates` [..., n]: the Lagrangian term at the clearing's prices [...].

        sum_i charge_i * gate_i - price . supply: zero where the gates use exactly the supply.
        """
        cost = cost.unsqueeze(-1) if cost.ndim == 1 else cost
        price = clearing.price.detach().to(gates.dtype)
        cost = cost.to(gates.dtype)
        supply = torch.as_tensor(supply, dtype=gates.dtype, device=gates.device)
        return (charge(cost, price) * gates).sum(-1) - (price * supply).sum(-1)

    def _check(self, clearing: Clearing, bids: Bids, supply: Tensor, cost: Tensor) -> None:
        name, shape = type(self).__name__, bids.reservation_price().shape
        if not isinstance(clearing, Clearing):
            raise ConformanceError(f"{name}.clear returned {type(clearing).__name__}, not a Clearing")
        shapes = {
            "quantity": shape,
            "price": supply.shape,
            "payment": shape,
            "status": shape[:-1],
            "residual": supply.shape,
        }
        for part, expected in shapes.items():
            tensor = getattr(clearing, part)
            if tensor.shape != expected:
                raise ConformanceError(f"{name}: {part} has shape {[*tensor.shape]}, expected {[*expected]}")
            bad = tensor.isnan() if part == "residual" else ~tensor.isfinite()  # of an infinite supply, much is left
            if bad.any():
                raise ConformanceError(f"{name}: {part} holds {tensor[bad][0].item()}")
        if (clearing.quantity < 0).any():
            raise ConformanceError(f"{name}: a quantity is negative ({clearing.quantity.min().item()})")
        used = load(cost, clearing.quantity)
        over = used - supply.double() * (1 + _ROUNDING.get(cost.dtype, 5e-2))
        if (over > 0).any():
            worst = over.argmax()
            raise SupplyExceededError(
                f"{name} handed out {used.flatten()[worst].item():.6g} of a supply of "
                f"{supply.flatten()[worst].item():.6g}"
            )


def _resources(like: Tensor, supply: Any, cost: Any) -> tuple[Tensor, Tensor]:
    """Supply [..., K] and cost [..., n, K] in the dtype and on the device of `like` [..., n], checked."""
    batch, n = like.shape[:-1], like.shape[-1]
    supply = torch.as_tensor(supply, dtype=like.dtype, device=like.device)
    supply = supply.unsqueeze(-1) if supply.ndim == 0 else supply
    cost = (
        like.new_ones(1, 1).expand(n, 1)
        if cost is None
        else torch.as_tensor(cost, dtype=like.dtype, device=like.device)
    )
    cost = cost.unsqueeze(-1) if cost.ndim == 1 else cost
    if cost.ndim < 2 or cost.shape[-2] != n or cost.shape[-1] != supply.shape[-1]:
        raise InputError(
            f"cost has shape {[*cost.shape]}; {n} agents and {supply.shape[-1]} resource(s) need "
            f"[..., {n}, {supply.shape[-1]}]"
        )
    for name, tensor, own in (("supply", supply, 1), ("cost", cost, 2)):
        if not expands(tensor.shape[:-own], batch):
            raise InputError(f"{name} has shape {[*tensor.shape]}, which does not fit a batch of {[*batch]} markets")
        bad = tensor.isnan() | (tensor < 0) | ((name == "cost") & tensor.isinf())
        if bad.any():
            raise InputError(f"{name} holds {tensor[bad][0].item()}; it must be a number of at least 0")
    return supply.expand(*batch, supply.shape[-1]), cost
