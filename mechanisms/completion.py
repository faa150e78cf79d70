"""Payments, status and residual of a clearing, worked out from quantities and prices where a rule leaves them out."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.budgeted import endowments
from walras.mechanisms.bids.interface import Bids, before_of
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import charge, resource_use, rounding
from walras.mechanisms.traits import CONCAVE


def completed(clearing: Clearing, bids: Bids, supply: Tensor, cost: Tensor, price_floor: float = 0.0) -> Clearing:
    """The clearing with all its parts: supply [..., K], cost [..., n, K]. What the rule itself says is kept.

    payment  = min(charge * quantity, utility, money): the price, and never more than what is bought is worth, or than
               an agent has.
    residual = use of what agents want at the price, less the supply. An agent that is as well off with what it got as
               with the best that it could buy at the price wants what it got; so does one that got nothing and is
               marginal: the price is the highest at which it buys. Any other wants its demand. In equilibrium this is
               use less supply.
    status   = the gravest of these that holds:
               INFEASIBLE  some agent would buy at the price, and none is served;
               RATIONED    some agent wants something else than it got; or one that would buy was left out although
                           a marginal one was served;
               SLACK       no agent that would buy is left out, and every price is at the price floor or some of every
                           resource is left over;
               CLEARED     otherwise: all agents that are left out are marginal.

    Indivisible agents that must be served after another count only where that other one is served: of each chain, the
    next in line. Amounts are compared up to the rounding of their dtype.
    """
    if clearing.lacks("payment"):
        price = charge(cost, clearing.price)
        most = torch.minimum(bids.utility(clearing.quantity), endowments(bids, torch.inf))
        paid = torch.minimum(price * clearing.quantity, most)
        clearing = replace(clearing, payment=paid)
    if not clearing.lacks("status") and not clearing.lacks("residual"):
        return clearing
    with torch.no_grad():
        market = _Answered.at_price(bids, clearing, cost)
        if clearing.lacks("residual"):
            clearing = replace(clearing, residual=resource_use(cost, market.wanted) - supply)
        if clearing.lacks("status"):
            clearing = replace(clearing, status=market.status(clearing.residual, supply, price_floor))
    return clearing


@final
@dataclass(frozen=True)
class _Answered:
    """How agents [..., n] stand at the prices of a clearing: what they got and want, and which of them buy there."""

    clearing: Clearing
    wanted: Tensor
    content: Tensor  # bool: wants what it got
    buys: Tensor  # bool: would buy something at the price
    marginal: Tensor  # bool: the price is the highest at which it buys; only where demand jumps there

    @staticmethod
    def at_price(bids: Bids, clearing: Clearing, cost: Tensor) -> "_Answered":
        """Ask the population for its demand at the prices of the clearing."""
        got = clearing.quantity
        asked = charge(cost, clearing.price).to(got.dtype).expand_as(got)
        best, highest = bids.demand(asked), bids.reservation_price()
        worth, paid = bids.utility(best), asked * best
        has = (bids.utility(got) - asked * got).clamp(min=0.0)  # no agent pays more than what it gets is worth
        slack = rounding(got.dtype)
        content = worth - paid - has <= slack * (worth.abs() + paid.abs() + has)
        near = slack * asked.abs()
        if CONCAVE in bids.traits:
            buys, marginal = best > 0, torch.zeros_like(best, dtype=torch.bool)
        else:
            buys, marginal = highest >= asked - near, (highest - asked).abs() <= near
            content = content | (marginal & (got <= 0))
        chained = before_of(bids)
        if chained is not None:
            before = chained.to(got.device).long().expand(got.shape)
            reached = (before < 0) | (got.gather(-1, before.clamp(min=0)) > 0)
            content, buys = content | ~reached, buys & reached
        return _Answered(clearing, torch.where(content, got, best), content, buys, marginal)

    def status(self, residual: Tensor, supply: Tensor, price_floor: float) -> Tensor:
        """Codes [...] of `Status`."""
        price, served = self.clearing.price, self.clearing.quantity > 0
        left_out = self.buys & ~served
        tied = left_out.any(-1) & (served & self.marginal).any(-1)
        left_over = -residual > rounding(price.dtype) * supply.double().clamp(max=torch.finfo(torch.float64).max)
        slack = ~left_out.any(-1) & ((price <= price_floor).all(-1) | left_over.all(-1))
        status = torch.where(slack, Status.SLACK, Status.CLEARED)
        status = torch.where(~self.content.all(-1) | tied, Status.RATIONED, status)
        return torch.where(self.buys.any(-1) & ~served.any(-1), Status.INFEASIBLE, status)
