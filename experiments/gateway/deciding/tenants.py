"""Who shares a budget, and how it is divided among them for a window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import final

import numpy as np
import torch

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.allocation import whole_tokens
from walras.market.queries.limits import MOST_TOKENS, amount
from walras.mechanisms import Budgeted, Mechanism, QuadraticBids

KEPT = 0.25
"""Share of its part of the budget that a tenant is thought to want at least, so that one that was idle can begin."""
GROWTH = 2.0
"""How many times what it asked for in the last window a tenant may want in the next."""


@final
@dataclass(frozen=True)
class Tenant:
    """One who shares the budget.

    Attributes:
        name: in metrics and logs.
        weight: money of the tenant in the market above the tenants' own.
        budget: tokens per window of its own; then it takes no part in that market.
    """

    name: str
    weight: float = 1.0
    budget: float | None = None

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 100 or not self.name.isprintable():
            raise InputError(f"{shown(self.name)} can be no name of a tenant; valid: 1 to 100 printable characters")
        amount(self.weight, f"weight of tenant {self.name}", 1e-6, 1e6)
        if self.budget is not None:
            amount(self.budget, f"budget of tenant {self.name}", 1.0)


def shares(
    tenants: Sequence[Tenant], asked: Mapping[str, float], budget: float, mechanism: Mechanism
) -> dict[str, float]:
    """Whole tokens per tenant for the next window, at least 1 each.

    Tenants without a budget of their own share what the others leave of `budget`: a market in which their weights are
    their money, and what they may want is `GROWTH` times what they asked for in the last window, and at least `KEPT` of
    their part by weight. `CompetitiveEquilibrium` gives what some do not want to the others, `ProportionalShare` does
    not; what nobody wants is divided by weight, since nobody else may have it.

    Raises:
        InputError: budgets of tenants' own that exceed the whole.
    """
    own = {t.name: t.budget for t in tenants if t.budget is not None}
    rest = budget - sum(own.values())
    sharing = [t for t in tenants if t.budget is None]
    if rest < len(sharing):
        raise InputError(f"tenants have budgets of their own of {sum(own.values()):g} tokens; the whole is {budget:g}")
    if not sharing:
        return dict(own)
    money = torch.tensor([t.weight for t in sharing], dtype=torch.float64)
    part = rest * money / money.sum()
    wanted = torch.tensor([asked.get(t.name, 0.0) for t in sharing], dtype=torch.float64).clamp(max=MOST_TOKENS)
    bids = Budgeted(QuadraticBids(torch.maximum(GROWTH * wanted, KEPT * part)), money)
    found = mechanism(bids, torch.tensor(rest, dtype=torch.float64)).quantity
    found = found + (rest - found.sum()).clamp(min=0.0) * money / money.sum()
    whole = np.maximum(whole_tokens(found.numpy(), rest), 1)
    whole[whole.argmax()] -= max(whole.sum() - floor(rest), 0)  # what went to those that would have had less than 1
    return own | {t.name: float(q) for t, q in zip(sharing, whole, strict=True)}
