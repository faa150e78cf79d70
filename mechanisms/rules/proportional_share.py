"""Proportional sharing: an agent's share of the supply is its share of all money."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.budgeted import endowments
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.traits import (
    CONCAVE,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    WITHIN_BUDGETS,
)


@final
@dataclass(frozen=True)
class ProportionalShare(Mechanism):
    """Every agent puts down its money, and the supply is divided in proportion (Kelly's mechanism).

    1. Agent i puts down its money w_i: that of `Budgeted` bids, else `endowment`, the same for all that may trade.
    2. The price of a unit is sum w / supply, and agent i gets w_i / price of the resource.

    Agents that choose w_i for the best utility at the price they see end at the optimum of the sum of utilities (Kelly
    1997); those that foresee how they move the price end within a quarter of it (Johari and Tsitsiklis 2004, doi
    10.1287/moor.1040.0091). The rule itself looks at money alone: it may hand out more than an agent has use for. One
    resource; levels must be divisible.
    """

    endowment: float = money(1.0)
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE, CONCAVE})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {PRICE_FLOOR, PERMUTATION_INVARIANT, SCALE_INVARIANT, WITHIN_BUDGETS}
    )
    source: ClassVar[str] = "Kelly 1997, doi 10.1002/ett.4460080106"

    def __post_init__(self) -> None:
        if not 0 <= self.endowment < torch.inf:
            raise InputError(f"endowment is {self.endowment}; it must be a number of at least 0")

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Both steps of the class, batched: supply [..., 1], cost [..., n, 1]."""
        if supply.shape[-1] != 1:
            raise InputError(f"ProportionalShare divides one resource; the supply has {supply.shape[-1]}")
        use = cost.squeeze(-1).expand_as(bids.reservation_price())
        if (use == 0).any() or supply.isinf().any():
            raise InputError("ProportionalShare divides what is scarce: a cost is 0, or the supply is infinite")
        put = torch.where(bids.reservation_price() > -torch.inf, endowments(bids, self.endowment), 0.0)
        total = put.sum(-1, keepdim=True)
        sold = (supply > 0) & (total > 0)
        price = torch.where(sold, total / torch.where(supply > 0, supply, 1.0), 0.0)
        quantity = torch.where(sold, put / (use * torch.where(sold, price, 1.0)), 0.0)
        fits = (supply / resource_use(cost, quantity).clamp(min=torch.finfo(use.dtype).tiny)).clamp(max=1.0)
        quantity = quantity * fits.to(use)  # less by rounding alone
        payment = torch.where(sold, put, 0.0)
        status = torch.where(sold, Status.CLEARED, torch.where(total > 0, Status.INFEASIBLE, Status.SLACK)).squeeze(-1)
        return Clearing(quantity, price, payment, status, resource_use(cost, quantity) - supply)
