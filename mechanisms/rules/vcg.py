"""The Vickrey-Clarke-Groves mechanism."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.excluding import Excluding
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity, charge, resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.rules.shadow_price import ShadowPrice
from walras.mechanisms.solvers.winners import clarke_payments, critical_payments
from walras.mechanisms.traits import (
    BUDGETED,
    CONCAVE,
    EFFICIENT,
    INDIVIDUALLY_RATIONAL,
    INDIVISIBLE,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    SUPPLY_MONOTONE,
    TRUTHFUL,
)

EXACT = "exact winners, Clarke payments"
GREEDY = "greedy winners, critical payments"
_MOST_NUMBERS = 2**22  # of markets without one agent, cleared at once


@final
@dataclass(frozen=True)
class VCG(Mechanism):
    """The sum of reported utilities is maximised, and each winner pays what its presence costs the others.

    payment_i = max sum_{j != i} u_j  without i  -  sum_{j != i} u_j  as it is   (Clarke's pivot)

    1. Up to `exact` indivisible bidders the winners are found by mixed-integer programming, on any number of resources,
       and so is the best allocation without each of them; `method` says "exact winners, Clarke payments".
    2. Beyond, winners are found greedily, best value per size first, and pay the lowest bid that would have won;
       `method` says "greedy winners, critical payments". Truthful as well, but not efficient: of one resource it
       loses less than the first bid that does not fit. Takes time of order n * winners.
    3. Concave bids of any number are allotted by `ShadowPrice`, which is exact for them, and cleared again without
       each: n clearings.

    `price_floor` is a reserve price: the seller's own value of a unit, which counts in the sum and is paid on top. The
    price is that of `ShadowPrice`, for information only.

    Truthful and individually rational, never in deficit; revenue may be low, and coalitions may gain. Bids that depend
    on what others get are refused: a sum of values is not what a set of substitutes is worth.
    """

    exact: int = 64
    price_floor: float = money(0.0)
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE})
    requires_one: ClassVar[frozenset[str]] = frozenset({INDIVISIBLE, CONCAVE})  # of these the best allocation is known
    refuses: ClassVar[frozenset[str]] = frozenset({BUDGETED})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {
            PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, SCALE_INVARIANT, SUPPLY_MONOTONE, TRUTHFUL,
            EFFICIENT,
        }
    )  # fmt: skip
    source: ClassVar[str] = "Vickrey 1961; Clarke 1971, doi 10.1007/BF01726210; Groves 1973"

    def __post_init__(self) -> None:
        if isinstance(self.exact, bool) or not isinstance(self.exact, int) or self.exact < 0:
            raise InputError(f"exact is {self.exact!r}; it must be a number of agents, 0 or more")
        if not 0 <= self.price_floor < torch.inf:
            raise InputError(f"price_floor is {self.price_floor}; a reserve price must be a number of at least 0")

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 3 of the class, batched: supply [..., K], cost [..., n, K]."""
        with torch.no_grad():
            posted = ShadowPrice(self.price_floor)(bids, supply, cost)
            if INDIVISIBLE not in bids.traits:
                payment = self._pivots(bids, supply, cost, posted.quantity)
                return replace(posted, payment=payment, method=EXACT)
            return self._winners(bids, supply, cost, posted)

    def _winners(self, bids: Bids, supply: Tensor, cost: Tensor, posted: Clearing) -> Clearing:
        """Steps 1 and 2, each market of a batch for itself."""
        value = bids.reservation_price()
        small = value.shape[-1] <= self.exact
        rule = clarke_payments if small else critical_payments
        quantity, payment = torch.zeros_like(value), torch.zeros_like(value)
        reserve = self.price_floor * cost.sum(-1).expand_as(value)
        costs = cost.expand(*value.shape, cost.shape[-1])
        for row in np.ndindex(*value.shape[:-1]):
            net = (value[row] - reserve[row]).double().nan_to_num(neginf=-1.0)
            parts = (net, costs[row].double(), capacity(supply[row]))
            wins, paid = rule(*(part.cpu().numpy() for part in parts))
            quantity[row], payment[row] = torch.from_numpy(wins).to(value), torch.from_numpy(paid).to(value)
        payment = torch.where(quantity > 0, torch.minimum(payment + reserve, value), 0.0)
        wants, served = value > reserve, quantity > 0
        status = torch.where(
            (wants & ~served & (value > charge(cost, posted.price))).any(-1), Status.RATIONED, Status.CLEARED
        )
        status = torch.where((~wants | served).all(-1), Status.SLACK, status)
        status = torch.where(wants.any(-1) & ~served.any(-1), Status.INFEASIBLE, status)
        residual = resource_use(cost, quantity) - supply
        return Clearing(quantity, posted.price, payment, status, residual, EXACT if small else GREEDY)

    def _pivots(self, bids: Bids, supply: Tensor, cost: Tensor, quantity: Tensor) -> Tensor:
        """Step 3: payments [..., n] for an allocation of concave bids."""
        n = quantity.shape[-1]
        reserve = self.price_floor * cost.sum(-1).expand_as(quantity)

        def net(level: Tensor) -> Tensor:
            return (bids.utility(level) - reserve * level).double()

        now, payment = net(quantity), torch.zeros_like(quantity)
        at_once = max(_MOST_NUMBERS // max(quantity.numel(), 1), 1)
        for first in range(0, n, at_once):
            gone = torch.arange(first, min(first + at_once, n), device=quantity.device)
            out = torch.nn.functional.one_hot(gone, n).bool().view(len(gone), *[1] * (quantity.ndim - 1), n)
            out = out.expand(len(gone), *quantity.shape)
            market = supply.expand(len(gone), *supply.shape)
            without = net(ShadowPrice(self.price_floor)(Excluding(bids, out), market, cost).quantity).sum(-1)
            others = now.sum(-1) - now[..., gone].movedim(-1, 0)
            payment[..., gone] = (without - others).clamp(min=0).movedim(0, -1).to(payment)
        return torch.minimum(payment + reserve * quantity, bids.utility(quantity))
