"""Menus: what each of a few quantities is worth to each agent."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.bounds import as_numbers, as_values, check_slopes
from walras.mechanisms.traits import MENU, SEPARABLE


@final
@dataclass(frozen=True, eq=False)
class MenuBids:
    """Agents with utility(q) = value of the largest level whose size is at most q, and 0 below the first.

    For curves that were measured, as accuracy by tokens, and for sub-layers that were prepared at several widths.
    `size` [m] of a menu that all share, or [..., n, m], are quantities, rising and above 0; a menu that is shorter than
    others ends with sizes of inf. `value` [..., n, m] is what each level is worth, and does not fall along a menu.
    Demand is the level with the most value less payment, the larger one where two are alike: a corner of the upper
    concave hull of the menu. What lies below the hull is bought at no price, but may be sold by a rule that chooses
    levels outright.

    Raises:
        InputError: sizes that do not rise from above 0, values that fall, are below 0 or no numbers, other shapes.
    """

    size: Tensor
    value: Tensor

    def __post_init__(self) -> None:
        value = as_values("value", self.value)
        size = as_numbers("size", self.size, value)
        own = size.shape if size.ndim == 1 else size.shape[-2:]
        if value.ndim < 2 or size.ndim not in (1, value.ndim) or own != value.shape[-len(own) :] or own[-1] == 0:
            raise InputError(
                f"size {[*size.shape]} and value {[*value.shape]}; valid: [m] or [..., n, m], and [..., n, m]"
            )
        _check_rising(size)
        if (value < 0).any() or (value.diff(dim=-1) < 0).any():
            raise InputError(
                "value falls along the menu, or is below 0; more must never be worth less. Of menus that were measured "
                "with noise, MenuBids.from_measured(size, value) makes some that rise"
            )
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "value", value)

    @staticmethod
    def from_measured(size: Tensor, value: Tensor) -> "MenuBids":
        """Menus in which every level is worth what the best of it and of those below is, but at least 0.

        Who has bought a level may use less of it. A `UserWarning` says how many menus had a level that was worth less
        than one below.
        """
        given = as_values("value", value)
        risen = given.clamp(min=0).cummax(-1).values if given.ndim else given
        fell = (risen > given).any(-1)
        if fell.any():
            warnings.warn(
                f"{int(fell.sum())} of {fell.numel()} menus fall somewhere: a level is taken to be worth what the best "
                "one below it is",
                stacklevel=2,
            )
        return MenuBids(size, risen)

    @property
    def traits(self) -> frozenset[str]:
        """No agent's utility depends on what others get; demand jumps from level to level."""
        return frozenset({MENU, SEPARABLE})

    @cached_property
    def _reservation(self) -> Tensor:
        ratio = (self.value / self.size).amax(-1)
        return torch.where(ratio > 0, ratio, -torch.inf)

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """Size [..., n] of the level that is best at a price [..., n]; those that stay take the best of any worth."""
        buys = price <= self._reservation
        if stay is not None:
            buys = buys | (stay & (price < torch.inf) & (self._reservation > 0))
        there = self.size.isfinite()
        longest = float(torch.where(there, self.size, 0.0).max())
        paid = price.clamp(min=0.0, max=torch.finfo(price.dtype).max / longest / 4).unsqueeze(-1) * torch.where(
            there, self.size, 0.0
        )
        surplus = torch.where((self.value > 0) & there, self.value - paid, -torch.inf)
        best = surplus.shape[-1] - 1 - surplus.flip(-1).argmax(-1)
        return torch.where(buys, self._sizes(best.shape).gather(-1, best.unsqueeze(-1)).squeeze(-1), 0.0)

    def utility(self, quantity: Tensor) -> Tensor:
        """Value [..., n] of the largest level that fits into a quantity [..., n]."""
        within = (self._sizes(quantity.shape) <= quantity.unsqueeze(-1)) & self.size.isfinite()
        last = within.sum(-1, keepdim=True) - 1
        value = self.value.expand(*quantity.shape, self.value.shape[-1]).gather(-1, last.clamp(min=0))
        return torch.where(last >= 0, value, 0.0).squeeze(-1)

    def reservation_price(self) -> Tensor:
        """The most value per quantity [..., n] on the menu; -inf for agents to which nothing is worth anything."""
        return self._reservation

    def _sizes(self, shape: torch.Size) -> Tensor:
        """Sizes [..., n, m], of each agent its own."""
        return self.size.expand(*shape, self.size.shape[-1])


def _check_rising(size: Tensor) -> None:
    """Refuse sizes that do not rise from above 0; inf may stand at the end of some, of not all."""
    finite = size.isfinite()
    before = torch.cat([torch.zeros_like(size[..., :1]), size[..., :-1]], -1)
    rises = (size > before) | (size.isposinf() & before.isposinf())
    if not bool(rises.all()) or not bool(finite[..., 0].all()):
        row = size.reshape(-1, size.shape[-1])[int((~(rises & ~size.isnan())).any(-1).reshape(-1).int().argmax())]
        raise InputError(f"size is {row.tolist()}; it must rise from above 0")
    check_slopes("size", size[finite])
