"""A fixed price (a tax on compute), posted before demand is known."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity, resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.rules.shadow_price import ShadowPrice
from walras.mechanisms.solvers.ranking import Ranking
from walras.mechanisms.traits import (
    INDIVIDUALLY_RATIONAL,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    SUPPLY_MONOTONE,
)


@final
@dataclass(frozen=True)
class PostedPrice(Mechanism):
    """Every agent may buy at a price per unit of the resource that was posted before demand is known.

    1. Each agent demands what it likes best at the posted price.
    2. Where that exceeds the supply it is rationed efficiently: those with the highest reservation price per cost
       are served first, and the status says `rationed`.
    3. Each agent pays the posted price for what it gets, and never more than its utility.

    `price` is the tax. Without one, the price that would have cleared the last round is posted, and the price floor (0
    where there is none) in a first round. A price above the clearing price leaves supply unsold (`slack`), because it
    is posted before demand is known.
    """

    price: float | None = money(None)
    last: float | None = money(None)  # what would have cleared the round before, handed on by `after`
    price_floor: float = money(0.0)
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, SCALE_INVARIANT, SUPPLY_MONOTONE}
    )
    source: ClassVar[str] = "Davidson and Deneckere 1986 (efficient rationing)"

    def __post_init__(self) -> None:
        for price in (self.price, self.last):
            if price is not None and not self.price_floor <= price < torch.inf:
                raise InputError(f"price is {price}; it must be a number of at least {self.price_floor}")

    @property
    def posted(self) -> float:
        """The price that this round's agents see."""
        known = (p for p in (self.price, self.last) if p is not None)
        return next(known, self.price_floor if self.price_floor > -torch.inf else 0.0)

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 3 of the class, batched: supply [..., 1], cost [..., n, 1]."""
        if supply.shape[-1] != 1:
            raise InputError(f"PostedPrice sells one resource; the supply has {supply.shape[-1]}")
        price = torch.full_like(supply, self.posted)
        served = ShadowPrice(price_floor=self.posted)(bids, supply, cost)
        buyers = Ranking(bids, supply, cost, self.posted)  # the same eligible agents, to the last bit
        wanted = resource_use(cost, buyers.demand(price.squeeze(-1), buyers.members(buyers.eligible)))
        status = torch.where((wanted <= capacity(supply)).squeeze(-1), Status.SLACK, Status.RATIONED)
        status = torch.where(served.status == Status.INFEASIBLE, Status.INFEASIBLE, status)
        return Clearing(served.quantity, price, status=status, residual=wanted - supply)

    def after(self, bids: Bids, supply: Tensor, cost: Tensor, clearing: Clearing) -> Mechanism:
        """Remember the price that would have cleared this round, unless the price is a fixed tax."""
        del clearing
        if self.price is not None:
            return self
        price = ShadowPrice(self.price_floor)(bids, supply, cost).price
        if price.numel() > 1:
            raise InputError(f"one price is posted, but a batch of {price.numel()} markets cleared")
        return replace(self, last=price.item())
