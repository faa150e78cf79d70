"""Queries that need a number of tokens before any is worth something: the interface, and what all shapes share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import e
from typing import ClassVar

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.bounds import as_numbers, check_slopes, check_tokens
from walras.mechanisms.bids.interface import expands
from walras.mechanisms.traits import ALIKE, SEPARABLE


@dataclass(frozen=True, eq=False)
class ThresholdBids(ABC):
    """Agents to whom a quantity q is worth nothing up to a threshold tau, and a surge above it:

        utility(q) = peak * level(x),  x = beta * (q - tau),  peak = alpha / (e * beta).

    `level` is the shape: 0 at 0, 1 at `satiation`, beyond which more is not worth more (free disposal: a cap on tokens
    cannot hurt). The concrete class is a shape; everything else follows from its three methods.

    At a price p, one agent's headroom x is best where level'(x) = r, r = e p / alpha; it leaves above its reservation
    price (alpha / e) * max over x of level(x) / (x + beta tau), the slope of the line from the origin that touches the
    utility (papers on surge utilities call it the critical price). Where a cap lies below what it would
    like, it buys the cap or nothing.

    Args:
        threshold: tau [..., n] in levels (tokens), 0 or more; inf marks an agent that nothing helps (insolvent).
        alpha: money per level at the start of the surge, above 0; a number or [..., n].
        beta: inverse width of the surge, per level, above 0; a number or [..., n].
        cap: the most an agent can use (context length); a number or [..., n]; one at or below tau makes insolvent.

    Raises:
        InputError: a threshold or a cap below 0, above 2^53 and not inf, or NaN; alpha or beta not above 0, or so
            small or large that a price would be no number.
    """

    threshold: Tensor
    alpha: Tensor | float = 1.0
    beta: Tensor | float = 1.0
    cap: Tensor | float = torch.inf
    satiation: ClassVar[float] = 1.0  # in widths 1 / beta above the threshold

    def __post_init__(self) -> None:
        threshold = as_numbers("threshold", self.threshold)
        if threshold.ndim == 0:
            raise InputError(f"threshold must have shape [..., n]; a scalar was given ({self.threshold})")
        parts = {"threshold": threshold}
        for name in ("alpha", "beta", "cap"):
            part = as_numbers(name, getattr(self, name), threshold)
            parts[name] = part.unsqueeze(-1) if part.ndim == 0 else part
        for name, part in parts.items():
            if name in ("threshold", "cap"):
                check_tokens(name, part)
            else:
                check_slopes(name, part)
            if not expands(part.shape, threshold.shape):
                raise InputError(f"{name} has shape {[*part.shape]}; valid: a number or {[*threshold.shape]}")
            object.__setattr__(self, name, part)

    @property
    def traits(self) -> frozenset[str]:
        """No agent's utility depends on what others get; demand jumps at the reservation price."""
        common = torch.as_tensor(self.alpha).shape[-1:] == torch.as_tensor(self.beta).shape[-1:] == (1,)
        return frozenset({SEPARABLE, ALIKE} if common and self._room is None else {SEPARABLE})

    @abstractmethod
    def level(self, headroom: Tensor) -> Tensor:
        """Share of the peak at a headroom x from 0 to `satiation`; rises from 0 to 1."""

    @abstractmethod
    def best_headroom(self, slope: Tensor) -> Tensor:
        """The largest x up to `satiation` that maximises level(x) - slope * x among those where level is concave."""

    @abstractmethod
    def tangent(self, offset: Tensor) -> Tensor:
        """The x that maximises level(x) / (x + offset), offset = beta * tau; the ratio rises up to it."""

    @cached_property
    def peak(self) -> Tensor:
        """The most that a query is worth, alpha / (e beta): [1] or [..., n]."""
        peak: Tensor = torch.as_tensor(self.alpha) / (e * torch.as_tensor(self.beta))
        return peak

    @cached_property
    def solvent(self) -> Tensor:
        """Bool [..., n]: agents to which some quantity is worth something."""
        return (self.threshold < torch.inf) & (self.threshold < torch.as_tensor(self.cap))

    @cached_property
    def _start(self) -> Tensor:
        """Thresholds [..., n] with a number in place of infinity."""
        return torch.where(self.solvent, self.threshold, 0.0)

    @cached_property
    def _room(self) -> Tensor | None:
        """Headroom x [..., n] up to the cap; None where no cap is below satiation."""
        room = torch.as_tensor(self.beta) * (torch.as_tensor(self.cap) - self._start)
        return None if bool(((room >= self.satiation) | ~self.solvent).all()) else room.clamp(min=0.0)

    @cached_property
    def _reservation(self) -> Tensor:
        offset = torch.as_tensor(self.beta) * self._start
        x = self._within(self.tangent(offset))
        # At a threshold of 0 the ratio tends to the slope of the level at 0.
        ratio = torch.where(x + offset > 0, self.level(x) / (x + offset), self.first_slope)
        return torch.where(self.solvent, torch.as_tensor(self.alpha) / e * ratio, -torch.inf)

    @property
    def first_slope(self) -> float:
        """Slope of the level at x = 0 where a tangent touches there (threshold 0)."""
        return e

    def _within(self, headroom: Tensor) -> Tensor:
        return headroom if self._room is None else torch.minimum(headroom, self._room)

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """tau + x / beta [..., n] up to the reservation price; `price` [..., n], or [..., 1] for all alike."""
        buys = price <= self._reservation
        if stay is not None:
            buys = buys | (stay & (price < torch.inf))
        slope = e * price.clamp(min=0.0, max=torch.finfo(price.dtype).max / 4) / torch.as_tensor(self.alpha)
        wanted = self._within(self.best_headroom(slope)) / torch.as_tensor(self.beta)
        return torch.where(buys & self.solvent, self._start + wanted, 0.0)

    def utility(self, quantity: Tensor) -> Tensor:
        """Value of a quantity [..., n]; what lies beyond satiation or the cap is left unused."""
        x = torch.as_tensor(self.beta) * (torch.minimum(quantity, torch.as_tensor(self.cap)) - self._start)
        return torch.where(self.solvent & (x > 0), self.peak * self.level(x.clamp(0.0, self.satiation)), 0.0)

    def marginal_utility(self, quantity: Tensor) -> Tensor:
        """Slope of utility [..., n] from the right: 0 below the threshold and from satiation or the cap on."""
        with torch.inference_mode(False), torch.enable_grad():  # copies, since inference mode's tensors have no slopes
            at, beta, peak = (torch.as_tensor(part).detach().clone() for part in (quantity, self.beta, self.peak))
            x = beta * (at.requires_grad_() - self._start)
            inside = self.solvent & (x >= 0) & (x < self.satiation) & (at < torch.as_tensor(self.cap))
            value = peak * self.level(torch.where(inside, x, 0.0))
            (slope,) = torch.autograd.grad((value * inside).sum(), at)
        return torch.where(inside, slope, 0.0)

    def surplus(self, price: Tensor) -> Tensor:
        """The most utility less payment [..., n] at a price per level [..., n]; 0 for those that do not buy."""
        bought = self.demand(price)
        return (self.utility(bought) - torch.where(bought > 0, price * bought, 0.0)).clamp(min=0.0)

    def reservation_price(self) -> Tensor:
        """Highest price per level [..., n] at which each buys; -inf for the insolvent."""
        return self._reservation
