"""Properties of one outcome: feasible, precise, never too dear. Each check returns an error message or ""."""

from dataclasses import replace
from itertools import product

import torch

from walras.mechanisms.bids.budgeted import Budgeted
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.testing.random_markets import TOLERANCE, Market


def feasible(mechanism: Mechanism, market: Market) -> str:
    """The rule returns sound parts, keeps its price floor and the supply: calling it checks that."""
    market.clear(mechanism)
    return ""


def batched(mechanism: Mechanism, market: Market) -> str:
    """A batch of markets clears as each of them does on its own."""
    together, scores = market.clear(mechanism), market.scores
    for row in product(*map(range, scores.shape[:-1])):
        alone = replace(market, scores=scores[row]).clear(mechanism)
        for part in ("quantity", "price", "payment"):
            given, expected = getattr(together, part)[row], getattr(alone, part)
            if not market.close(given, expected):
                return f"{part} of row {row} is {given.tolist()} in the batch and {expected.tolist()} alone"
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


def rational(mechanism: Mechanism, market: Market) -> str:
    """No agent pays more than the reported utility of what it gets."""
    clearing = market.clear(mechanism)
    loss = (clearing.payment - market.bids().utility(clearing.quantity)).max().item()
    return "" if loss <= TOLERANCE[market.scores.dtype] else f"an agent loses {loss}"


def affordable(mechanism: Mechanism, market: Market) -> str:
    """No agent pays more than the money that its bids name."""
    bids = market.bids()
    if not isinstance(bids, Budgeted):
        return ""
    over = (market.clear(mechanism).payment - bids.money).max().item()
    return "" if over <= TOLERANCE[market.scores.dtype] else f"an agent pays {over} more than it has"
