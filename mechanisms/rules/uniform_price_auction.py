"""The sealed-bid uniform-price auction."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.traits import (
    INDIVIDUALLY_RATIONAL,
    INDIVISIBLE,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    SUPPLY_MONOTONE,
)


@final
@dataclass(frozen=True)
class UniformPriceAuction(Mechanism):
    """Bids are sealed, and all winners pay one price per unit of the resource, set by the first bid that loses.

    1. Sort the bids by value per cost, ties by position; bids below the reserve price are dropped.
    2. Winners are the longest prefix whose costs fit the supply. No agent further down is taken instead of a bid
       that does not fit: skipping would let a lower bid win over a higher one.
    3. The price of a unit of the resource is the value per cost of the first excluded bid, or the reserve price
       where none is excluded; each winner pays price * cost.

    With unit costs this is the (k+1)-th price auction: top-k selection with the (k+1)-th score as its price.
    `price_floor` is the reserve price; with -inf and no bid excluded the price is the lowest winning bid, the highest
    at which everything sells.
    """

    price_floor: float = money(0.0)
    requires: ClassVar[frozenset[str]] = frozenset({INDIVISIBLE, SEPARABLE})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, SCALE_INVARIANT, SUPPLY_MONOTONE}
    )
    source: ClassVar[str] = "Krishna, Auction Theory, 2nd ed., section 12.1"

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 3 of the class, batched: supply [..., 1], cost [..., n, 1]."""
        if supply.shape[-1] != 1:
            raise InputError(f"UniformPriceAuction sells one resource; the supply has {supply.shape[-1]}")
        value = bids.reservation_price()
        flat_cost = cost.squeeze(-1).expand_as(value)
        with torch.no_grad():
            free = torch.where(value >= 0, torch.inf, -torch.inf).to(value.dtype)
            bid, order = torch.where(flat_cost > 0, value / flat_cost, free).sort(stable=True, dim=-1, descending=True)
            accepted = (bid >= self.price_floor) & (bid > -torch.inf)
            used = flat_cost.gather(-1, order).cumsum(-1, dtype=torch.float64)
            wins = accepted & (used <= capacity(supply))
            quantity = torch.zeros_like(wins).scatter_(-1, order, wins).to(value.dtype)
            price, status = self._outcome(bid, wins.sum(-1, keepdim=True), accepted.sum(-1, keepdim=True))
        return Clearing(quantity, price, status=status)

    def _outcome(self, bid: Tensor, winners: Tensor, accepted: Tensor) -> tuple[Tensor, Tensor]:
        """Price [..., 1] and status [...] from sorted bids [..., n] and the numbers [..., 1] that won and that bid."""
        end = bid.new_full((*bid.shape[:-1], 1), -torch.inf)
        bid = torch.cat([bid, end], -1)
        lost, last = bid.gather(-1, winners), bid.gather(-1, (winners - 1).clamp(min=0))
        excluded = winners < accepted
        unsold = last if self.price_floor == -torch.inf else torch.full_like(last, self.price_floor)
        price = torch.where(excluded, lost, torch.where(unsold.isfinite(), unsold, 0.0))
        status = torch.where(excluded, Status.CLEARED, Status.SLACK)
        status = torch.where(excluded & (lost == last) & (winners > 0), Status.RATIONED, status)
        return price, torch.where(excluded & (winners == 0), Status.INFEASIBLE, status).squeeze(-1)
