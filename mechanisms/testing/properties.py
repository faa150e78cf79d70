"""What a rule is held to on a market: a function each, which answers with the fault it found, or with nothing."""

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from walras.mechanisms import traits
from walras.mechanisms.bids.budgeted import Budgeted
from walras.mechanisms.mechanism import Mechanism, capacity, charge, load
from walras.mechanisms.testing.random_markets import TOLERANCE, Market

_FEW = 11  # agents of whom all sets are tried
_LIES = (0.0, 0.5, 0.8, 0.95, 1.05, 1.3, 3.0)  # reports, as multiples of the truth


def feasible(mechanism: Mechanism, market: Market) -> str:
    """Calling the mechanism checks shapes, NaN, negative quantities and the supply."""
    market.clear(mechanism)
    return ""


def batched(mechanism: Mechanism, market: Market) -> str:
    """A batch of markets must clear as each would on its own."""
    together, scores = market.clear(mechanism), market.scores
    for row in product(*map(range, scores.shape[:-1])):
        alone = replace(market, scores=scores[row]).clear(mechanism)
        for part in ("quantity", "price", "payment"):
            found, expected = getattr(together, part)[row], getattr(alone, part)
            if not market.close(found, expected):
                return f"{part} of row {row} is {found.tolist()} in the batch and {expected.tolist()} alone"
    return ""


def precise(mechanism: Mechanism, market: Market) -> str:
    """The answer has the precision of the bids, and a price that float64 confirms.

    Where supply is just enough or just not, which rounding decides, either price is right.
    """
    clearing = market.clear(mechanism)
    if clearing.price.dtype != market.scores.dtype or clearing.quantity.dtype != market.scores.dtype:
        return f"{market.scores.dtype} bids gave a {clearing.price.dtype} price, {clearing.quantity.dtype} quantities"
    if market.scores.dtype == torch.float64 or (market.supply == 0).any():
        return ""  # without supply no price is too high
    wide = replace(market, scores=market.scores.double(), cost=market.cost.double(), supply=market.supply.double())
    rounding = 4 * torch.finfo(market.scores.dtype).eps * market.scores.shape[-1]
    near = [replace(wide, supply=wide.supply * (1 + r)).clear(mechanism).price for r in (-rounding, 0.0, rounding)]
    least, most = torch.stack(near).amin(0), torch.stack(near).amax(0)
    slack = 1e-4 + 1e-3 * most.abs()
    if ((clearing.price >= least - slack) & (clearing.price <= most + slack)).all():
        return ""
    return f"price {clearing.price.tolist()} in {market.scores.dtype}, {near[1].tolist()} in float64"


def above_floor(mechanism: Mechanism, market: Market) -> str:
    """No price below the mechanism's floor."""
    price = market.clear(mechanism).price
    if (price >= torch.tensor(mechanism.price_floor, dtype=price.dtype)).all():
        return ""
    return f"price {price.min().item()}, floor {mechanism.price_floor}"


def rational(mechanism: Mechanism, market: Market) -> str:
    """No agent pays more than the reported utility of what it gets."""
    clearing = market.clear(mechanism)
    loss = (clearing.payment - market.bids().utility(clearing.quantity)).max().item()
    return "" if loss <= TOLERANCE[market.scores.dtype] else f"an agent loses {loss}"


def permutation(mechanism: Mechanism, market: Market) -> str:
    """Where no two agents tie, their order does not matter. Budgets may make ties of different scores for one level."""
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

    Of several, a price may rise as all supplies grow: by the one that then binds.
    """
    if market.supply.shape[-1] > 1:
        return ""
    slack, ndim = TOLERANCE[market.scores.dtype], market.scores.ndim
    shares = torch.tensor([0.1, 0.3, 0.5, 0.7, 1.0, 1.3]).to(market.scores).view(-1, *[1] * ndim)
    more = replace(  # a row of markets each
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


def several(mechanism: Mechanism, market: Market) -> str:
    """Two resources: one that nobody needs in full is free, and everybody gets what is best for it at the prices.

    Of indivisible units there may be left what two of them use: the relaxation has at most two fractional ones. Where
    money counts, who is served need not be who would gain most.
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
    return f"at price {clearing.price.tolist()} somebody would gain {gain.item()} by what it would rather have"


def truthful(mechanism: Mechanism, market: Market) -> str:
    """No agent gains by scaling its report up or down, whatever the others say. Tried on the first three of few."""
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
    """No allocation within the supply is worth more, less what the seller would keep it for.

    Against all choices of few indivisible units; of concave bids, against small steps towards other allocations, which
    are enough where utility is concave.
    """
    bids, clearing, n = market.bids(), market.clear(mechanism), market.scores.shape[-1]
    reserve = mechanism.price_floor * market.cost.sum(-1)

    def worth(quantity: Tensor) -> Tensor:
        return (bids.utility(quantity) - reserve * quantity).sum(-1, dtype=torch.float64)

    if traits.INDIVISIBLE in bids.traits:
        if n > _FEW:
            return ""
        sets = (torch.arange(2**n).unsqueeze(-1) >> torch.arange(n) & 1).to(market.scores)
        sets = sets[(load(market.cost, sets) <= capacity(market.supply)).all(-1)]
        others = sets.view(-1, *[1] * (market.scores.ndim - 1), n).expand(-1, *market.scores.shape)
    else:
        draws = torch.rand(8, *market.scores.shape, generator=torch.Generator().manual_seed(n)).to(market.scores)
        fits = (market.supply.double() / load(market.cost, draws)).amin(-1, keepdim=True).clamp(max=1.0).to(draws)
        others = clearing.quantity + 1e-3 * (draws * fits - clearing.quantity)
    more = (worth(others).amax(0) - worth(clearing.quantity)).max().item()
    return "" if more <= 10 * TOLERANCE[market.scores.dtype] * n else f"another allocation is worth {more:.4g} more"


def affordable(mechanism: Mechanism, market: Market) -> str:
    """Where bids name their money, nobody pays more."""
    bids = market.bids()
    if not isinstance(bids, Budgeted):
        return ""
    over = (market.clear(mechanism).payment - bids.money).max().item()
    return "" if over <= TOLERANCE[market.scores.dtype] else f"an agent pays {over} more than it has"


CheckFunction = Callable[[Mechanism, Market], str]
ALWAYS: dict[str, CheckFunction] = {
    "never over supply, no NaN": feasible,
    "batched equals looped": batched,
    "float32 and float64": precise,
}
NAMED: dict[str, CheckFunction] = {
    traits.PRICE_FLOOR: above_floor,
    traits.INDIVIDUALLY_RATIONAL: rational,
    traits.PERMUTATION_INVARIANT: permutation,
    traits.SCALE_INVARIANT: scaling,
    traits.SUPPLY_MONOTONE: monotone,
    traits.SEVERAL_RESOURCES: several,
    traits.TRUTHFUL: truthful,
    traits.EFFICIENT: efficient,
    traits.WITHIN_BUDGETS: affordable,
}


def rescaled(mechanism: Mechanism, factor: float) -> Mechanism:
    """The mechanism with its money-valued fields (`money(...)`) multiplied."""
    rule: Any = mechanism  # a dataclass, as every concrete mechanism is
    names = [f.name for f in fields(rule) if f.metadata.get("money")]
    amounts: dict[str, Any] = {n: getattr(mechanism, n) for n in names}
    changes = {n: amount * factor for n, amount in amounts.items() if amount is not None}
    scaled: Mechanism = replace(rule, **changes)
    return scaled
