"""What a router of experts gives its tokens where every expert's share of it is multiplied by a gate."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from walras.models.families import Mixture

LARGEST = 60.0  # exponent at most: e^60 is far from float32's limit


@final
@dataclass(frozen=True)
class Routing:
    """How a router makes weights of its logits, one of the three ways that transformers has.

    With p the softmax of a token's logits and T the k experts of the largest p, the weights are those p of T, or
    p / sum of p over T where `normalised`. Where `selected_first`, which implies `normalised`, the same is computed as
    the softmax of the k largest logits.
    """

    top_k: int
    normalised: bool
    selected_first: bool = False


def router_routing(router: Any, mixture: Mixture) -> Routing:
    """How a router of transformers makes weights of its logits, by its family's row and its own attributes."""
    normalised = mixture.normalised
    if isinstance(normalised, str):
        normalised = bool(getattr(router, normalised))
    return Routing(int(router.top_k), normalised, mixture.selected_first)


def shares_of(logits: Tensor, index: Tensor, routing: Routing) -> Tensor:
    """Weights [tokens, m] of experts that somebody else has chosen, made as the router makes those of its k largest.

    Where `index` [tokens, m] is the number of experts or more, the place is empty and its weight 0.
    """
    there = index < logits.shape[-1]
    safe = index.clamp(max=logits.shape[-1] - 1)
    if routing.selected_first:
        chosen = logits.gather(-1, safe).masked_fill(~there, -torch.inf)
        return torch.where(there, chosen.masked_fill(~there.any(-1, keepdim=True), 0.0).softmax(-1), 0.0)
    weights = torch.where(there, logits.softmax(-1).gather(-1, safe), 0.0)
    if not routing.normalised:
        return weights
    total = weights.sum(-1, keepdim=True)
    return weights / torch.where(total > 0, total, 1.0)


def routed(logits: Tensor, gates: Tensor, routing: Routing) -> tuple[Tensor, Tensor, Tensor]:
    """Route tokens by shares g p / sum of g p instead of p.

    1. The gate is added to the logits as log g, before the k largest are taken: a gate of 1 adds 0, so that the result
       is bit-equal to the stock router's, and a gate of 0 leaves the expert out of the softmax and out of T, which is
       what cutting its row does.
    2. At a gate of 0, the derivative of log g is infinite and that of the share is p / sum of g p. It is added as a
       term whose value is 0. It is the derivative on the right: an expert outside T has none, but for the common
       denominator where the weights are not normalised. Where fewer than k gates are open, those closed experts that
       fill T have it, and others none.
    3. A token all of whose experts are closed gets weights of 0, without a gradient.

    Args:
        logits: [tokens, experts] of the stock router; float32 is what it computes in, whatever the network's type is.
        gates: [experts] or [tokens, experts], at least 0.
        routing: how weights are made of logits.

    Returns:
        Gated logits [tokens, experts] (the stock ones for a token without experts), weights [tokens, k] and indices
        [tokens, k] of the experts chosen.
    """
    opened = gates > 0
    some = opened.any(-1, keepdim=True)
    shifted = torch.where(opened, logits + torch.where(opened, gates, 1.0).log(), -torch.inf)
    gated = torch.where(some, shifted, logits)
    weights, index, denominator = _stock(gated, routing)
    if gates.requires_grad:
        coming = torch.where(opened, 0.0, gates * (logits - denominator).clamp(max=LARGEST).exp())
        chosen = coming.gather(-1, index)
        weights = weights * (1 - (chosen if routing.normalised else coming).sum(-1, keepdim=True)) + chosen
    return gated, torch.where(some, weights, 0.0), index


def _stock(logits: Tensor, routing: Routing) -> tuple[Tensor, Tensor, Tensor]:
    """Weights and indices [tokens, k], operation by operation as transformers has them, and log of the denominator."""
    if routing.selected_first:
        chosen, index = logits.topk(routing.top_k, dim=-1)
        return chosen.softmax(-1), index, chosen.logsumexp(-1, keepdim=True)
    weights, index = logits.softmax(-1).topk(routing.top_k, dim=-1)
    if not routing.normalised:
        return weights, index, logits.logsumexp(-1, keepdim=True)
    return weights / weights.sum(-1, keepdim=True), index, logits.gather(-1, index).logsumexp(-1, keepdim=True)
