"""The Vickrey-Clarke-Groves mechanism."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError, RequirementError
from walras.mechanisms.bids.excluding import Excluding
from walras.mechanisms.bids.interface import Bids, levels_of
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity, charge, resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.rules.shadow_price import ShadowPrice
from walras.mechanisms.solvers.winners import Rule, clarke_payments, critical_payments
from walras.mechanisms.traits import (
    BUDGETED,
    CONCAVE,
    EFFICIENT,
    INDIVIDUALLY_RATIONAL,
    INDIVISIBLE,
    MENU,
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

    1. Up to `exact` indivisible bidders, or bidders with menus, of whose levels each gets at most one, the winners are
       found by mixed-integer programming, on any number of resources, and so is the best allocation without each of
       them; `method` says "exact winners, Clarke payments".
    2. Of more indivisible bidders winners are found greedily, best value per size first, and pay the lowest bid that
       would have won; `method` says "greedy winners, critical payments". Truthful as well, but not efficient: of one
       resource it loses less than the first bid that does not fit. Takes time of order n * winners.
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
    requires_one: ClassVar[frozenset[str]] = frozenset(
        {INDIVISIBLE, CONCAVE, MENU}
    )  # of these the best allocation is known
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
            if not {INDIVISIBLE, MENU} & bids.traits:
                posted = ShadowPrice(self.price_floor)(bids, supply, cost)
                payment = self._pivots(bids, supply, cost, posted.quantity)
                return replace(posted, payment=payment, method=EXACT)
            small = bids.reservation_price().shape[-1] <= self.exact
            if MENU in bids.traits and not small:
                raise RequirementError(
                    f"VCG chooses levels of menus for at most {self.exact} agents (setting `exact`); "
                    f"{bids.reservation_price().shape[-1]} were given, which ShadowPrice clears"
                )
            return self._winners(bids, supply, cost, clarke_payments if small else critical_payments)

    def _winners(self, bids: Bids, supply: Tensor, cost: Tensor, rule: Rule) -> Clearing:
        """Steps 1 and 2, each market of a batch for itself."""
        posted = ShadowPrice(self.price_floor)(bids, supply, cost)
        size, worth = levels_of(bids)  # [..., n, m]
        quantity, payment = torch.zeros_like(posted.quantity), torch.zeros_like(posted.quantity)
        *_, n, levels = worth.shape
        agent = np.arange(n).repeat(levels)
        reserve = self.price_floor * cost.sum(-1).expand(quantity.shape)
        costs = cost.expand(*quantity.shape, cost.shape[-1])
        for row in np.ndindex(*quantity.shape[:-1]):
            net = (worth[row] - reserve[row].unsqueeze(-1) * size[row]).double().nan_to_num(neginf=-1.0)
            use = costs[row].double().unsqueeze(-2) * size[row].double().unsqueeze(-1)
            parts = (net.flatten(), use.flatten(0, 1), capacity(supply[row]))
            values, uses, most = (part.cpu().numpy() for part in parts)
            found = rule(values, uses, most, agent)
            wins, paid = (torch.from_numpy(part).to(quantity).view(n, levels) for part in found)
            quantity[row], payment[row] = (wins * size[row]).sum(-1), paid.sum(-1)
        bought = reserve * quantity
        payment = torch.where(quantity > 0, torch.minimum(payment + bought, bids.utility(quantity)), 0.0)
        best = bids.reservation_price()
        wants, served = best > reserve, quantity > 0
        status = torch.where(
            (wants & ~served & (best > charge(cost, posted.price))).any(-1), Status.RATIONED, Status.CLEARED
        )
        status = torch.where((~wants | served).all(-1), Status.SLACK, status)
        status = torch.where(wants.any(-1) & ~served.any(-1), Status.INFEASIBLE, status)
        residual = resource_use(cost, quantity) - supply
        method = EXACT if rule is clarke_payments else GREEDY
        return Clearing(quantity, posted.price, payment, status, residual, method)

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
