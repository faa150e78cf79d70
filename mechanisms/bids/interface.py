"""What a mechanism knows of a population: its answer to prices."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.traits import CHAINED, INDIVISIBLE, MENU


@runtime_checkable
class Bids(Protocol):
    """A population of n agents, each of which answers a price with the quantity (level) it would buy.

    Leading batch dimensions are allowed everywhere: one object may hold many separate markets. Bids with the trait
    `CHAINED` have besides an attribute `before`; see `before_of`.
    """

    @property
    def traits(self) -> frozenset[str]:
        """Words of `walras.mechanisms.traits` that hold for every agent of the population."""

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """Quantity [..., n] that maximises utility(q) - price * q.

        `price` [..., n] is the price of one level to each agent; inf excludes an agent. Agents in `stay`
        (bool [..., n]) may buy less at a high price but may not leave: they answer with the best positive
        quantity even where buying nothing would be better.
        """

    def utility(self, quantity: Tensor) -> Tensor:
        """What `quantity` [..., n] is worth to each agent, in the population's money; 0 at quantity 0."""

    def reservation_price(self) -> Tensor:
        """Highest price [..., n] of a level at which each agent buys.

        Demand is positive at this price and zero above it; where utility is concave demand vanishes
        continuously, and is positive just below.
        """


def before_of(bids: Bids) -> Tensor | None:
    """The agent [n] or [..., n] that must be served before each, -1 for none; None where agents form no chains.

    Raises:
        InputError: bids that are chained and have no `before`.
    """
    if CHAINED not in bids.traits:
        return None
    before = getattr(bids, "before", None)
    if not isinstance(before, Tensor):
        raise InputError(f"{type(bids).__name__} are {CHAINED}, and have no `before` that says who is served first")
    return before


def levels_of(bids: Bids) -> tuple[Tensor, Tensor]:
    """Sizes and values [..., n, m] of the levels that each agent may buy: its menu, or one whole unit.

    Levels that a menu has not have a size of 0 and a value of -inf.

    Raises:
        InputError: bids that have menus and no `size` and `value`.
    """
    if INDIVISIBLE in bids.traits:
        whole = bids.reservation_price().unsqueeze(-1)
        return torch.ones_like(whole), whole
    size: Any = getattr(bids, "size", None)
    value: Any = getattr(bids, "value", None)
    if MENU not in bids.traits or not isinstance(size, Tensor) or not isinstance(value, Tensor):
        raise InputError(
            f"{type(bids).__name__} have no `size` and `value` that say what may be bought; traits: {MENU}"
        )
    there = size.isfinite().expand(value.shape)
    return torch.where(there, size, 0.0), torch.where(there, value, -torch.inf)


def expands(shape: torch.Size, batch: torch.Size) -> bool:
    """Whether leading dimensions are those of the batch, each of full length or 1."""
    return len(shape) <= len(batch) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(batch), strict=False))
