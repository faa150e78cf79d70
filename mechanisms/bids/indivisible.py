"""All or nothing: attention heads and FFN blocks, which are kept or dropped."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.bounds import as_values
from walras.mechanisms.solvers.chains import Chains
from walras.mechanisms.traits import CHAINED, INDIVISIBLE, SEPARABLE


@final
@dataclass(frozen=True)
class IndivisibleBids:
    """Agents that want one whole unit, worth `value` [..., n]: utility(q) = value * q for q in {0, 1}.

    `before` (whole numbers [n] or [..., n]) is the agent that must be served first, -1 for none: the second head of
    a layer adds to its latency what it adds to the first. Such agents form chains, and are not separable: demand
    answers as if the agent before it were served.
    """

    value: Tensor
    before: Tensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", as_values("value", self.value))
        if self.before is None:
            return
        before, shape = torch.as_tensor(self.before), self.value.shape
        fits = before.ndim <= len(shape) and before.shape == shape[len(shape) - before.ndim :] and before.ndim > 0
        if before.is_floating_point() or before.is_complex() or before.dtype == torch.bool or not fits:
            raise InputError(
                f"before is {before.dtype} of shape {[*before.shape]}; valid: whole numbers of shape [{shape[-1]}]"
            )
        for row in before.reshape(-1, shape[-1]).cpu().long().numpy():
            Chains(row)
        object.__setattr__(self, "before", before)

    @property
    def traits(self) -> frozenset[str]:
        """Levels are 0 and 1; no agent's utility depends on another's, unless one must be served before it."""
        return frozenset({INDIVISIBLE, SEPARABLE if self.before is None else CHAINED})

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """1 where the price is at most the value, or where the agent stays and is not excluded."""
        buys = self.value >= price
        if stay is not None:
            buys = buys | (stay & (price < torch.inf))
        return buys.to(self.value.dtype)

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of what is bought [..., n]."""
        return torch.where(quantity > 0, self.value * quantity, 0.0)

    def reservation_price(self) -> Tensor:
        """The value itself [..., n]."""
        return self.value
