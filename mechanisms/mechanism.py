"""The interface of every rule."""

from abc import ABC, abstractmethod
from dataclasses import field
from typing import Any, ClassVar

import torch
from torch import Tensor

from walras.errors import InputError, RequirementError
from walras.mechanisms.bids.bounds import largest
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.checks import LEFT_OUT, as_resources, check_parts, check_sale
from walras.mechanisms.clearing import Clearing
from walras.mechanisms.completion import completed
from walras.mechanisms.costs import charge
from walras.mechanisms.traits import PRICE_FLOOR, SEPARABLE
from walras.user_code import user_code


def money(default: Any) -> Any:
    """A dataclass field that is an amount of money: it scales when all bids are scaled."""
    return field(default=default, metadata={"money": True})


class Mechanism(ABC):
    """A rule that turns bids and supply into an allocation, prices and payments.

    It sees reports only: no network, no true values. Concrete rules are final frozen dataclasses that implement
    `clear`; whatever a rule learns from one round to the next it hands on through `after`. `clears` are the kinds of
    dependence (`CHAINED`) that a rule copes with although it requires separable bids; of `requires_one` a single trait
    is enough; `refuses` are traits that it cannot cope with. `source` says where a rule is published.

    What a rule of the user's own raises in `clear`, `after` or `penalty` becomes a `UserCodeError` that names the file
    and the line.
    """

    price_floor: float = 0.0
    requires: ClassVar[frozenset[str]] = frozenset()
    requires_one: ClassVar[frozenset[str]] = frozenset()
    refuses: ClassVar[frozenset[str]] = frozenset()
    pays_bid: ClassVar[bool] = False  # whether winners pay what they bid, and not the price
    clears: ClassVar[frozenset[str]] = frozenset()
    guarantees: ClassVar[frozenset[str]] = frozenset()
    source: ClassVar[str] = ""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if cls.__module__.split(".")[0] == "walras":
            return
        for name in ("clear", "after", "penalty"):
            own = vars(cls).get(name)
            if callable(own):
                setattr(cls, name, user_code(f"mechanism {cls.__name__}")(own))

    def __call__(
        self, bids: Bids, supply: Tensor | float | list[float], cost: Tensor | list[float] | None = None
    ) -> Clearing:
        """Clear a market after checking its input, fill in what the rule left out, and check the outcome.

        Args:
            bids: the population.
            supply: a number or [..., K].
            cost: [n] for one resource, [..., n, K] for several; 1 per level where it is left out.

        Raises:
            RequirementError: bids that the rule cannot clear.
            InputError: supply, cost or price floor that cannot be worked with.
            ConformanceError: the rule returned what is no sound clearing.
            SupplyExceededError: the rule handed out more than there is.
        """
        self.require(bids)
        like, name = bids.reservation_price(), type(self).__name__
        most = largest(like.dtype)
        if not (abs(self.price_floor) <= most or self.price_floor == -torch.inf):
            raise InputError(
                f"price_floor is {self.price_floor}; it must be a number of at most {most:.3g}, or -inf for none"
            )
        supply, cost = as_resources(like, supply, cost)
        sale = self.clear(bids, supply, cost)
        check_sale(name, sale, bids, supply, cost, self._stated_floor)
        clearing = completed(sale, bids, supply, cost, self.price_floor)
        check_parts(name, clearing, [part for part in LEFT_OUT if sale.lacks(part)], like, supply)
        return clearing

    @property
    def _stated_floor(self) -> float | None:
        """The price floor of a rule that has one of its own, or guarantees to keep that of all; None of any other."""
        own = any("price_floor" in vars(cls) for cls in type(self).__mro__ if cls is not Mechanism)
        return self.price_floor if own or PRICE_FLOOR in self.guarantees else None

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
        """The rule itself: supply [..., K], cost [..., n, K], both checked, finite and non-negative.

        Returns `Clearing(quantity, price)` at the least. Other rules are asked by calling them, not their `clear`: only
        the call fills in what they leave out.
        """

    def after(self, bids: Bids, supply: Tensor, cost: Tensor, clearing: Clearing) -> "Mechanism":
        """The rule for the next round, which knows the outcome of this one. Most rules learn nothing."""
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
