"""One market for all experts of a layer: tokens bid their logits for places, of which each expert has so many."""

import torch
from torch import Tensor

from walras.mechanisms import IndivisibleBids, ShadowPrice
from walras.mechanisms.solvers.assignment import assign_by_auction
from walras.models.routing.rule import Allotment, RoutingMarket, check_k

FINEST = 2.0**-40
"""The least step of an auction, as a share of the largest logit: bids in float64 still differ by it."""


def sold_places(logits: Tensor, k: int, room: int, tolerance: float) -> Allotment:
    """The allotment of greatest sum of logits, and an expert's price: what a place there costs.

    A step of the auction is `tolerance` times how far a token's logits are apart on average; the sum is within a step a
    place of the greatest.
    """
    check_k(k, logits.shape[-1])
    value = logits.double()
    apart = float((value.amax(-1) - value.amin(-1)).mean())
    step = max(tolerance * apart, FINEST * max(float(value.abs().max()), 1.0))
    found = assign_by_auction(value, k, room, step)
    return Allotment(found.holds, found.price.to(logits.dtype))


def market_of_places(logits: Tensor, k: int, room: int) -> RoutingMarket:
    """The same as `ShadowPrice` of several resources: places of every expert, and k places of every token.

    Agents are pairs of a token and an expert, [tokens * experts], each of which uses a place of both. Its linear
    program is that of a transport, whose vertices are whole. A pair's bid is its logit and an amount that is the same
    for all, so large that leaving a token without an expert never pays: by exchange along at most all experts.
    """
    check_k(k, logits.shape[-1])
    tokens, experts = logits.shape
    value = logits.double()
    most = float(value.max() - value.min())
    bids = IndivisibleBids((value - value.min() + (experts + 1) * most + 1).flatten())
    of_expert = torch.eye(experts, dtype=value.dtype, device=value.device).repeat(tokens, 1)
    of_token = torch.eye(tokens, dtype=value.dtype, device=value.device).repeat_interleave(experts, 0)
    supply = torch.tensor([float(room)] * experts + [float(k)] * tokens, dtype=value.dtype, device=value.device)
    return RoutingMarket(ShadowPrice(), bids, supply, torch.cat([of_expert, of_token], -1))
