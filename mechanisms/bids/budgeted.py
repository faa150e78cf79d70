"""Agents that cannot pay more than they have."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.bounds import as_numbers, largest
from walras.mechanisms.bids.interface import Bids, before_of, expands
from walras.mechanisms.traits import BUDGETED, CONCAVE, INDIVISIBLE


@final
@dataclass(frozen=True)
class Budgeted:
    """The same agents with `money` [..., n] each: the best quantity of those whose price is at most the money.

    Wraps concave and indivisible bids. At a price where money binds a concave agent spends all of it,
    q = money / price; an indivisible one that cannot pay its unit does not buy.
    """

    bids: Bids
    money: Tensor

    def __post_init__(self) -> None:
        like = self.bids.reservation_price()
        if not self.bids.traits & {CONCAVE, INDIVISIBLE}:
            raise InputError(
                f"{type(self.bids).__name__} are {', '.join(sorted(self.bids.traits))}; budgets bind bids that are "
                f"{CONCAVE} or {INDIVISIBLE}"
            )
        given = as_numbers("money", self.money, like)
        if not expands(given.shape, like.shape):
            raise InputError(f"money has shape {[*given.shape]}; {[*like.shape]} agents need one amount each")
        bad = ~((given >= 0) & (given <= largest(like.dtype)))
        if bad.any():
            raise InputError(
                f"money holds {given[bad][0].item()}; an endowment must be a number of at least 0 and at most "
                f"{largest(like.dtype):.3g}"
            )
        object.__setattr__(self, "money", given.expand(like.shape))

    @property
    def traits(self) -> frozenset[str]:
        """As without the budget, and that there is one."""
        return self.bids.traits | {BUDGETED}

    @property
    def before(self) -> Tensor | None:
        """Who is served first, as without the budget."""
        return before_of(self.bids)

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """The smaller of what is wanted and what the money buys [..., n]."""
        wanted = self.bids.demand(price, stay)
        if INDIVISIBLE in self.bids.traits:
            return torch.where(price <= self.money, wanted, 0.0)
        binds = wanted * price > self.money
        return torch.where(binds, self.money / torch.where(binds, price, 1.0), wanted)

    def utility(self, quantity: Tensor) -> Tensor:
        """As without the budget."""
        return self.bids.utility(quantity)

    def reservation_price(self) -> Tensor:
        """As without the budget, at most the money where levels are whole; -inf for agents without money."""
        highest = self.bids.reservation_price()
        if INDIVISIBLE in self.bids.traits:
            return torch.minimum(highest, self.money)
        return torch.where(self.money > 0, highest, -torch.inf)


def endowments(bids: Bids, equal: float) -> Tensor:
    """What agents may spend [..., n]: their own money or, where their bids name none, the same for each."""
    return bids.money if isinstance(bids, Budgeted) else torch.full_like(bids.reservation_price(), equal)
