"""The ascending clock auction."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity, charge, resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.solvers.root import search
from walras.mechanisms.traits import INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, PRICE_FLOOR, SEPARABLE

_OPENING = 2.0**-10  # of the highest reservation price, where no opening price is given


@final
@dataclass(frozen=True)
class AscendingClock(Mechanism):
    """The price rises in steps until demand fits the supply, and all that buy pay the price at which it stops.

    1. The clock opens at `opening`; where none is given, at a 1024th of the highest finite reservation price per cost
       (of 1 where there is none), and at the price floor where that is higher. Round t shows opening * (1 + step)^t.
    2. Every agent names what it would buy at the price shown. The first price at which the sum fits the supply is paid
       by all that buy, and what the last step left over stays unsold.

    Excess demand falls with the price, so that the round in which the clock stops is found by search instead of step by
    step.
    """

    step: float = 0.05
    opening: float | None = money(None)
    price_floor: float = money(0.0)
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE})
    guarantees: ClassVar[frozenset[str]] = frozenset({PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT})
    source: ClassVar[str] = "Krishna, Auction Theory, 2nd ed., section 12.2"

    def __post_init__(self) -> None:
        if not 0 < self.step < torch.inf:
            raise InputError(f"step is {self.step}; the clock's price must rise: a number above 0")
        if self.opening is not None and not 0 < self.opening < torch.inf:
            raise InputError(f"opening is {self.opening}; it must be a number above 0")

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Both steps, batched: supply [..., 1], cost [..., n, 1]."""
        if supply.shape[-1] != 1:
            raise InputError(f"AscendingClock sells one resource; the supply has {supply.shape[-1]}")
        with torch.no_grad():
            start = self._start(bids, supply, cost)

            def shown(turn: Tensor) -> Tensor:
                return start * (1 + self.step) ** turn.to(start.dtype)

            def asked(turn: Tensor) -> Tensor:
                price = charge(cost, shown(turn).unsqueeze(-1)).expand_as(reservation)
                return bids.demand(torch.where(reservation > -torch.inf, price, torch.inf))

            def excess(turn: Tensor) -> Tensor:
                return (resource_use(cost, asked(turn)) - capacity(supply)).squeeze(-1)

            reservation = bids.reservation_price()
            first = torch.zeros_like(start, dtype=torch.long)
            last = first
            while (excess(last) > 0).any():
                last = torch.where(excess(last) > 0, 2 * last + 1, last)
            turn = search(excess, last, first)
            price, quantity = shown(turn), asked(turn)
        status = torch.where(turn == 0, Status.SLACK, Status.CLEARED)
        unsold = (quantity <= 0).all(-1) & (turn > 0)
        status = torch.where(unsold, Status.INFEASIBLE, status)
        return Clearing(quantity, price.unsqueeze(-1), status=status)

    def _start(self, bids: Bids, supply: Tensor, cost: Tensor) -> Tensor:
        """Opening price [...]."""
        if self.opening is not None:
            return torch.full_like(supply.squeeze(-1), max(self.opening, self.price_floor))
        reservation = bids.reservation_price()
        unit = reservation / cost.squeeze(-1).clamp(min=torch.finfo(reservation.dtype).tiny)
        unit = torch.where(unit.isfinite() & (cost.squeeze(-1) > 0), unit, 0.0)
        nothing = unit.new_zeros((*unit.shape[:-1], 1))
        top = torch.cat([unit, nothing], -1).amax(-1)
        return (torch.where(top > 0, top, 1.0) * _OPENING).clamp(min=self.price_floor)
