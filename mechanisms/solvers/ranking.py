"""Agents in the order in which a falling price brings them into the market, and what prefixes of them demand."""

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.costs import capacity, charge, resource_use
from walras.mechanisms.solvers.root import bracket, search
from walras.mechanisms.traits import CONCAVE, INDIVISIBLE


@final
@dataclass(frozen=True)
class Ranking:
    """One resource's agents by reservation price per cost, descending; ties by position.

    supply [..., 1], cost [..., n, 1]. Prices here are [...], one per market; a prefix is a count [...] of agents.
    """

    bids: Bids
    supply: Tensor
    cost: Tensor
    price_floor: float
    unit: Tensor = field(init=False)  # [..., n] reservation price per cost
    rank: Tensor = field(init=False)  # [..., n] each agent's place, from 0
    ranked: Tensor = field(init=False)  # [..., n + 2] the same, descending, between inf and -inf
    eligible: Tensor = field(init=False)  # [...] how many would buy at the price floor

    def __post_init__(self) -> None:
        reservation = self.bids.reservation_price()
        cost = self.cost.squeeze(-1).expand_as(reservation)
        free = torch.where(reservation >= 0, torch.inf, -torch.inf).to(reservation.dtype)
        unit = torch.where(cost > 0, reservation / cost, free)
        object.__setattr__(self, "unit", unit)
        before, past = (unit.new_full((*unit.shape[:-1], 1), end) for end in (torch.inf, -torch.inf))
        sorted_unit, order = unit.sort(dim=-1, descending=True, stable=True)
        place = torch.arange(order.shape[-1], device=order.device).expand_as(order)
        object.__setattr__(self, "rank", torch.empty_like(order).scatter_(-1, order, place))
        object.__setattr__(self, "ranked", torch.cat([before, sorted_unit, past], -1))
        object.__setattr__(self, "eligible", ((unit >= self.price_floor) & (unit > -torch.inf)).sum(-1))

    def threshold(self, count: Tensor) -> Tensor:
        """Reservation price per cost [...] of the agent of rank `count` (from 0): inf before all, -inf past all."""
        return self.ranked.gather(-1, (count + 1).unsqueeze(-1)).squeeze(-1)

    def members(self, count: Tensor) -> Tensor:
        """Bool [..., n]: the first `count` agents of the order."""
        return self.rank < count.unsqueeze(-1)

    def demand(self, price: Tensor, members: Tensor) -> Tensor:
        """Quantity [..., n] that the members buy at a price [...], none of them leaving."""
        if INDIVISIBLE in self.bids.traits:
            return members.to(self.unit.dtype)  # the one level there is
        asked = charge(self.cost, price.unsqueeze(-1))
        return torch.where(members, self.bids.demand(asked, stay=members), 0.0)

    def excess(self, price: Tensor, members: Tensor) -> Tensor:
        """Members' demand at a price less the supply, in float64 [...]; at most 0 where it fits."""
        return (resource_use(self.cost, self.demand(price, members)) - capacity(self.supply)).squeeze(-1)

    def longest_prefix(self) -> Tensor:
        """The largest count [...] whose demand, at its last member's own price, fits the supply.

        Agents with an infinite reservation price buy at every price and are always members.
        """

        def excess(count: Tensor) -> Tensor:
            return self.excess(self.threshold(count - 1), self.members(count))

        return search(excess, (self.unit == torch.inf).sum(-1), self.eligible)

    def clearing_price(self, count: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest price [...] that keeps the next agent out and at which the prefix fits, and whether it is slack.

        Slack: no agent is kept out, and demand at the price floor fits. Where there is no floor and no price is low
        enough to sell out, the price is the reservation price of the last member, or 0 where that is infinite.
        """
        members, everyone, last = self.members(count), count >= self.eligible, self.threshold(count - 1)

        def excess(price: Tensor) -> Tensor:
            return self.excess(price, members)

        bottom = torch.where(everyone, self.price_floor, self.threshold(count))
        satiated = (count == 0) | (CONCAVE not in self.bids.traits) | self.supply.isinf().squeeze(-1)
        unbounded = (bottom == -torch.inf) & satiated  # no price is low enough to sell out
        bottom = torch.where(unbounded, torch.where(last.isfinite(), last, 0.0), bottom)
        low, high = bracket(excess, bottom, last)
        price = search(excess, high, low)
        return price, everyone & (price == low)
