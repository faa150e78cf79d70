"""Properties that compare an outcome with what else was possible. Each check returns an error message or ""."""

from dataclasses import replace

import torch
from torch import Tensor

from walras.mechanisms import traits
from walras.mechanisms.bids.interface import levels_of
from walras.mechanisms.costs import capacity, charge, resource_use
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.testing.random_markets import TOLERANCE, Market

_FEW = 11  # agents of which all sets are tried
_LIES = (0.0, 0.5, 0.8, 0.95, 1.05, 1.3, 3.0)  # reports, as multiples of the truth


def several(mechanism: Mechanism, market: Market) -> str:
    """Of two resources, one that is not used up is free, and every agent gets what is best for it at the prices.

    Of indivisible units there may be left what two of them use: the relaxation has at most two fractional ones. Where
    money counts, the agents served need not be those that would gain most.
    """
    if market.supply.shape[-1] == 1:
        return ""
    clearing, bids, slack = market.clear(mechanism), market.bids(), 10 * TOLERANCE[market.scores.dtype]
    whole = traits.INDIVISIBLE in bids.traits
    left = -clearing.residual - (2 * market.cost.double().max(-2).values if whole else 1e-5 * market.supply.double())
    wasted = (clearing.price > mechanism.price_floor + slack) & (left > 0)
    if wasted.any():
        return f"price {clearing.price.tolist()} where {(-clearing.residual).tolist()} is left over"
    if traits.WITHIN_BUDGETS in mechanism.guarantees or (market.supply == 0).any():
        return ""
    asked = charge(market.cost, clearing.price)
    if whole:
        gain = torch.where(clearing.quantity > 0, 0.0, bids.reservation_price() - asked).max()
    else:
        wanted = bids.demand(asked)
        gain = (bids.utility(wanted) - bids.utility(clearing.quantity) - asked * (wanted - clearing.quantity)).max()
    if gain <= max(slack, 1e-5):
        return ""
    return f"at price {clearing.price.tolist()} an agent would gain {gain.item()} by what it would rather have"


def truthful(mechanism: Mechanism, market: Market) -> str:
    """No agent gains by scaling its report up or down, whatever the others say.

    Tried for the first three agents of small markets.
    """
    if market.scores.shape[-1] > _FEW:
        return ""
    honest, n = market.clear(mechanism), market.scores.shape[-1]
    tried = [(agent, factor) for agent in range(min(n, 3)) for factor in _LIES]
    scores = torch.stack([market.scores] * len(tried))
    for row, (agent, factor) in enumerate(tried):
        scores[row, ..., agent] *= factor
    lied = replace(market, scores=scores, supply=market.supply.expand(*scores.shape[:-1], -1)).clear(mechanism)
    true = replace(market, scores=market.scores.expand_as(scores)).bids()
    earned = market.bids().utility(honest.quantity) - honest.payment
    gain = true.utility(lied.quantity) - lied.payment - earned
    for row, (agent, factor) in enumerate(tried):
        if gain[row, ..., agent].max() > 10 * TOLERANCE[market.scores.dtype]:
            return f"agent {agent} gains {gain[row, ..., agent].max():.4g} by reporting {factor:g} times its value"
    return ""


def efficient(mechanism: Mechanism, market: Market) -> str:
    """No allocation within the supply is worth more, net of the seller's reserve prices.

    The allocation is compared with all choices of indivisible units, or of levels, in small markets. For concave bids
    it is compared with small steps towards other allocations, which are enough where utility is concave.
    """
    bids, clearing, n = market.bids(), market.clear(mechanism), market.scores.shape[-1]
    reserve = mechanism.price_floor * market.cost.sum(-1)

    def worth(quantity: Tensor) -> Tensor:
        return (bids.utility(quantity) - reserve * quantity).sum(-1, dtype=torch.float64)

    if {traits.INDIVISIBLE, traits.MENU} & bids.traits:
        sizes, _ = levels_of(bids)
        options = torch.cat([torch.zeros_like(sizes[..., :1]), sizes], -1)  # [..., n, m + 1]
        if options.shape[-1] ** n > 2**_FEW:
            return ""
        choices = torch.cartesian_prod(*[torch.arange(options.shape[-1])] * n).view(-1, n)
        choices = choices.view(-1, *[1] * (market.scores.ndim - 1), n, 1)
        others = options.expand(len(choices), *options.shape).gather(-1, choices.expand(-1, *market.scores.shape, 1))[
            ..., 0
        ]
        fits = (resource_use(market.cost, others) <= capacity(market.supply)).all(-1, keepdim=True)
        others = torch.where(fits, others, 0.0)
    else:
        draws = torch.rand(8, *market.scores.shape, generator=torch.Generator().manual_seed(n)).to(market.scores)
        share = (market.supply.double() / resource_use(market.cost, draws)).amin(-1, keepdim=True)
        fits = share.clamp(max=1.0).to(draws)
        others = clearing.quantity + 1e-3 * (draws * fits - clearing.quantity)
    more = (worth(others).amax(0) - worth(clearing.quantity)).max().item()
    return "" if more <= 10 * TOLERANCE[market.scores.dtype] * n else f"another allocation is worth {more:.4g} more"
