"""Properties that compare a market with itself reordered, rescaled or with more supply.

Each check returns an error message or "".
"""

from dataclasses import fields, replace
from typing import Any

import torch

from walras.mechanisms import traits
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.testing.random_markets import TOLERANCE, Market


def permutation(mechanism: Mechanism, market: Market) -> str:
    """Where no two agents tie, their order does not matter.

    Budgets may make ties of different scores; such markets are left out.
    """
    bids = market.bids()
    ranked = [market.scores, *([bids.reservation_price()] if traits.INDIVISIBLE in bids.traits else [])]
    if any(((by.unsqueeze(-1) / market.cost).sort(-2).values.diff(dim=-2) == 0).any() for by in ranked):
        return ""
    order = torch.randperm(market.scores.shape[-1], generator=torch.Generator().manual_seed(0))
    plain = market.clear(mechanism)
    mixed = replace(market, scores=market.scores[..., order], cost=market.cost[order]).clear(mechanism)
    if market.close(mixed.quantity, plain.quantity[..., order]) and market.close(mixed.price, plain.price):
        return ""
    return f"price {plain.price.tolist()}, of the same agents in another order {mixed.price.tolist()}"


def scaling(mechanism: Mechanism, market: Market) -> str:
    """All money counted in a unit four times smaller: same quantities, prices and payments times four."""
    plain, scaled = market.clear(mechanism), market.clear(rescaled(mechanism, 4.0), money=4.0)
    for part, factor in (("quantity", 1.0), ("price", 4.0), ("payment", 4.0)):
        if not market.close(getattr(scaled, part), getattr(plain, part) * factor):
            return f"{part} {getattr(plain, part).tolist()} became {getattr(scaled, part).tolist()}"
    return ""


def monotone(mechanism: Mechanism, market: Market) -> str:
    """As the supply of one resource grows, welfare does not fall and no price rises.

    Markets of several resources are left out: there, a price may rise as all supplies grow.
    """
    if market.supply.shape[-1] > 1:
        return ""
    slack, ndim = TOLERANCE[market.scores.dtype], market.scores.ndim
    shares = torch.tensor([0.1, 0.3, 0.5, 0.7, 1.0, 1.3]).to(market.scores).view(-1, *[1] * ndim)
    more = replace(  # one row per supply
        market, scores=market.scores.expand(len(shares), *market.scores.shape),
        supply=(market.cost.sum(0) * shares).expand(-1, *market.scores.shape[:-1], -1),
    )  # fmt: skip
    clearing = more.clear(mechanism)
    welfare, price = more.bids().utility(clearing.quantity).sum(-1), clearing.price
    if (welfare.diff(dim=0) < -slack).any():
        return f"welfare falls as supply grows: {welfare.tolist()}"
    if (price.diff(dim=0) > slack * price[:-1].abs().clamp(min=1)).any():
        return f"price rises as supply grows: {price.tolist()}"
    return ""


def rescaled(mechanism: Mechanism, factor: float) -> Mechanism:
    """The mechanism with its money-valued fields (`money(...)`) multiplied."""
    rule: Any = mechanism  # a dataclass, as every concrete mechanism is
    names = [f.name for f in fields(rule) if f.metadata.get("money")]
    amounts: dict[str, Any] = {n: getattr(mechanism, n) for n in names}
    changes = {n: amount * factor for n, amount in amounts.items() if amount is not None}
    scaled: Mechanism = replace(rule, **changes)
    return scaled
