"""What a mechanism knows of a population: its answer to prices."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from walras.errors import InputError


@runtime_checkable
class Bids(Protocol):
    """A population of n agents, each of which answers a price with the quantity (level) it would buy.

    Leading batch dimensions are allowed everywhere: one object may hold many separate markets.
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


def as_values(name: str, value: Tensor | list[float]) -> Tensor:
    """A float tensor [..., n] of reported values; -inf marks an agent that may not trade."""
    tensor = torch.as_tensor(value)
    tensor = tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())
    if tensor.ndim == 0:
        raise InputError(f"{name} must have shape [..., n]; a scalar was given ({value})")
    bad = tensor.isnan() | tensor.isposinf()
    if bad.any():
        where = bad.nonzero()[0].tolist()
        raise InputError(f"{name} at {where} is {tensor[tuple(where)].item()}; values must be numbers below inf")
    return tensor


def expands(shape: torch.Size, batch: torch.Size) -> bool:
    """Whether leading dimensions are those of the batch, each of full length or 1."""
    return len(shape) <= len(batch) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(batch), strict=False))
