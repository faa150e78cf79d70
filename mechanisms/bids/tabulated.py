"""Measured utility: what each of a few quantities is worth to each agent."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.bounds import as_numbers, as_values, check_slopes
from walras.mechanisms.traits import SEPARABLE


@final
@dataclass(frozen=True, eq=False)
class TabulatedBids:
    """Agents with utility(q) = value at the largest grid point that is at most q, and 0 below the first.

    For accuracy-by-budget curves: `grid` [m] are quantities, rising and above 0, `value` [..., n, m] is what each is
    worth, which must not fall along the grid. Demand is the grid point with the most value less payment, the larger one
    where two are alike: a vertex of the curve's upper concave hull.

    Raises:
        InputError: a grid that does not rise from above 0, values that fall, are below 0 or no numbers, other shapes.
    """

    grid: Tensor
    value: Tensor

    def __post_init__(self) -> None:
        value = as_values("value", self.value)
        grid = as_numbers("grid", self.grid, value)
        if value.ndim < 2 or grid.ndim != 1 or len(grid) != value.shape[-1] or len(grid) == 0:
            raise InputError(f"grid {[*grid.shape]} and value {[*value.shape]}; valid: [m] and [..., n, m]")
        if not (torch.diff(grid, prepend=grid.new_zeros(1)) > 0).all() or not bool(grid.isfinite().all()):
            raise InputError(f"grid is {grid.tolist()}; it must rise from above 0")
        check_slopes("grid", grid)
        if (value < 0).any() or (value.diff(dim=-1) < 0).any():
            raise InputError("value falls along the grid, or is below 0; more must never be worth less")
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "value", value)

    @property
    def traits(self) -> frozenset[str]:
        """No agent's utility depends on what others get; demand jumps from grid point to grid point."""
        return frozenset({SEPARABLE})

    @cached_property
    def _reservation(self) -> Tensor:
        ratio = (self.value / self.grid).amax(-1)
        return torch.where(ratio > 0, ratio, -torch.inf)

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """Grid point [..., n] that is best at a price [..., n]; those that stay take the best of any worth."""
        buys = price <= self._reservation
        if stay is not None:
            buys = buys | (stay & (price < torch.inf) & (self._reservation > 0))
        paid = (
            price.clamp(min=0.0, max=torch.finfo(price.dtype).max / float(self.grid[-1]) / 4).unsqueeze(-1) * self.grid
        )
        surplus = torch.where(self.value > 0, self.value - paid, -torch.inf)
        best = surplus.shape[-1] - 1 - surplus.flip(-1).argmax(-1)
        return torch.where(buys, self.grid[best], 0.0)

    def utility(self, quantity: Tensor) -> Tensor:
        """Value [..., n] of the largest grid point that fits into a quantity [..., n]."""
        last = torch.searchsorted(self.grid, quantity.contiguous(), right=True) - 1
        value = self.value.expand(*quantity.shape, self.value.shape[-1]).gather(-1, last.clamp(min=0).unsqueeze(-1))
        return torch.where(last >= 0, value.squeeze(-1), 0.0)

    def reservation_price(self) -> Tensor:
        """The most value per quantity [..., n] on the grid; -inf for agents to which nothing is worth anything."""
        return self._reservation
