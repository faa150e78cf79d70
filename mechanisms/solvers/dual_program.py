"""Clearing a market of several resources for concave bids, by the prices that solve its dual.

minimise over p >= price floor   p . supply + sum_i max_q (utility_i(q) - charge_i(p) q)

The gradient is the negative of excess demand.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity, charge, resource_use

_ROUNDS, _HALVINGS = 200, 40
_REACH = 8.0  # times the price itself, or the first one, that a step goes at most
_PAST = 0.5  # pull back, as a share of the first pull, at which a step is short enough
TOLERANCE = 1e-9
"""Excess demand, as a share of the supply, at which the search ends."""


@final
@dataclass(frozen=True)
class Dual:
    """The markets [...] of one population: supply [..., K], cost [..., n, K]; prices [..., K] from `price_floor` on.

    Agents that need a resource of which there is none are `out` [..., n]. All is counted in float64, whatever the bids
    are in. Only demand is asked for: it need only fall with the price, as with budgets.
    """

    bids: Bids
    supply: Tensor
    cost: Tensor
    price_floor: float
    out: Tensor

    @staticmethod
    def from_market(bids: Bids, supply: Tensor, cost: Tensor, price_floor: float) -> "Dual":
        """The dual of a market; which agents are out follows from the supply."""
        none = ((cost > 0) & (supply == 0).unsqueeze(-2)).any(-1).expand_as(bids.reservation_price())
        return Dual(bids, supply.double(), cost.double(), price_floor, none)

    def charged(self, price: Tensor) -> Tensor:
        """Price of one level [..., n]; inf for agents that are out."""
        return torch.where(self.out, torch.inf, charge(self.cost, price).expand(self.out.shape))

    def demand(self, price: Tensor) -> Tensor:
        """Quantities [..., n] at prices [..., K]."""
        return self.bids.demand(self.charged(price))

    @property
    def bounded(self) -> Tensor:
        """Resources [..., K] of which there is some, and a finite amount."""
        return (self.supply > 0) & self.supply.isfinite()

    @property
    def scale(self) -> Tensor:
        """What excess demand is a share of [..., K]: the supply, or 1 where that is infinite or 0."""
        return torch.where(self.bounded, self.supply, 1.0)

    def excess(self, quantity: Tensor) -> Tensor:
        """Excess demand [..., K], as a share of the supply; -1 for resources that are not bounded."""
        return torch.where(self.bounded, (resource_use(self.cost, quantity) - capacity(self.supply)) / self.scale, -1.0)

    def start(self) -> Tensor:
        """Prices [..., K] at which agents would pay, together, what equal shares of the supply are worth to them."""
        n, resources = self.cost.shape[-2], self.cost.shape[-1]
        share = (self.supply.unsqueeze(-2) / (n * self.cost)).nan_to_num(torch.inf, torch.inf).amin(-1)
        share = torch.where(self.out | ~share.isfinite(), 1.0, share.expand(self.out.shape))
        worth = self.bids.utility(share).nan_to_num(0.0, 0.0, 0.0).clamp(min=0).sum(-1, keepdim=True)
        worth = torch.where(worth > 0, worth, 1.0)
        return torch.where(self.bounded, worth / (resources * self.scale), 0.0).clamp(min=self.price_floor)


def clear_concave(bids: Bids, supply: Tensor, cost: Tensor, price_floor: float, rule: str) -> Clearing:
    """Clear concave bids: supply [..., K], cost [..., n, K].

    Newton steps on the dual, whose Hessian is -sum_i slope_i cost_i cost_i'; a price at its floor stays there while its
    resource is left over (an active set; Nocedal and Wright, Numerical Optimization, 2nd ed., section 16.5). Steps end
    where they meet the floor, and are halved until they do not go far past the minimum along them. What rounding leaves
    over the supply is taken from all alike. `not_converged` where excess demand, or what is left of a resource with a
    price, stays above 1e-6.

    Raises:
        InputError: no price floor (-inf).
    """
    if price_floor == -torch.inf:
        raise InputError(f"price_floor is {price_floor}; {rule} of several resources needs a finite one")
    with torch.no_grad():
        dual = Dual.from_market(bids, supply, cost, price_floor)
        price = first = dual.start()
        for _ in range(_ROUNDS):
            excess, step = _newton(dual, price)
            if (_error(dual, price, excess) <= TOLERANCE).all():
                break
            moved = _shortened(dual, price, excess, step, _REACH * torch.maximum(price.abs(), first.abs()))
            if torch.equal(moved, price):
                break
            price = moved
        return settled(dual, price, 1e-6)


def settled(dual: Dual, price: Tensor, within: float) -> Clearing:
    """The clearing at prices [..., K]: demand there, taken from all alike where it exceeds a supply.

    `not_converged` where excess demand, as a share of the supply, or what is left of a resource above its floor is more
    than `within`.
    """
    wanted = dual.demand(price)
    excess = dual.excess(wanted)
    error = _error(dual, price, excess)
    quantity = wanted / (1 + excess.clamp(min=0).amax(-1, keepdim=True))
    status = torch.where((price <= dual.price_floor).all(-1), Status.SLACK, Status.CLEARED)
    status = torch.where(dual.out.any(-1), Status.RATIONED, status)
    status = torch.where(dual.out.all(-1), Status.INFEASIBLE, status)
    status = torch.where(error > within, Status.NOT_CONVERGED, status)
    payment = torch.minimum(charge(dual.cost, price) * quantity, dual.bids.utility(quantity))
    kind = dual.bids.reservation_price().dtype
    residual = resource_use(dual.cost, wanted) - dual.supply
    return Clearing(quantity.to(kind), price.to(kind), payment.to(kind), status, residual)


def _error(dual: Dual, price: Tensor, excess: Tensor) -> Tensor:
    """The largest share [...] of a supply by which a market has not cleared: free resources may be left over."""
    return torch.where((price <= dual.price_floor) & (excess <= 0), 0.0, excess.abs()).amax(-1)


def _newton(dual: Dual, price: Tensor) -> tuple[Tensor, Tensor]:
    """Excess demand and the Newton step of the prices [..., K]."""
    with torch.enable_grad():
        asked = dual.charged(price).clone().requires_grad_()
        quantity = dual.bids.demand(asked)
        slope = torch.zeros_like(asked)
        if quantity.requires_grad:
            (slope,) = torch.autograd.grad(quantity.sum(), asked)
    slope = slope.nan_to_num(0.0, 0.0, 0.0).clamp(max=0)
    excess = dual.excess(quantity.detach())
    hessian = (dual.cost * -slope.unsqueeze(-1)).mT @ dual.cost
    size = hessian.diagonal(dim1=-2, dim2=-1).amax(-1, keepdim=True)
    least = 1e-12 * size.clamp(min=torch.finfo(price.dtype).tiny ** 0.5)  # a resource that no demand depends on
    at_floor = price <= dual.price_floor
    held = at_floor & (excess <= 0)
    for _ in range(price.shape[-1]):  # a price at its floor that the others' moves would lower stays as well
        free = (~held).to(price)
        among = hessian * free.unsqueeze(-1) * free.unsqueeze(-2) + torch.diag_embed(torch.where(held, 1.0, least))
        step = torch.linalg.solve(among, (excess * dual.scale * free).unsqueeze(-1)).squeeze(-1)
        if not (at_floor & (step < 0)).any():
            break
        held = held | (at_floor & (step < 0))
    return excess, torch.where(at_floor, step.clamp(min=0), step)


def _shortened(dual: Dual, price: Tensor, excess: Tensor, step: Tensor, reach: Tensor) -> Tensor:
    """Prices after as much of the step [..., K] as stays above the floor, within `reach`, and not far past the minimum.

    The dual is convex along the step: past its minimum excess demand pulls back.
    """
    to_floor = torch.where(step < 0, (price - dual.price_floor) / -step, torch.inf)
    to_reach = torch.where(step != 0, reach / step.abs(), torch.inf)
    share = torch.minimum(to_floor, to_reach).amin(-1, keepdim=True).clamp(max=1.0)
    pull = (excess * dual.scale * step).sum(-1)
    result, waiting = price, torch.ones_like(pull, dtype=torch.bool)
    for _ in range(_HALVINGS):
        meets = share >= to_floor * (1 - 1e-12)  # so that rounding just above the price floor does not stop the search
        moved = torch.where(meets, dual.price_floor, (price + share * step).clamp(min=dual.price_floor))
        back = -(dual.excess(dual.demand(moved)) * dual.scale * step).sum(-1)
        near = back <= _PAST * pull
        result = torch.where((waiting & near).unsqueeze(-1), moved, result)
        waiting = waiting & ~near
        if not waiting.any():
            break
        share = share / 2
    return result
