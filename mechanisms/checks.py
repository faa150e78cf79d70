"""What goes into a rule and what comes out of it, checked on every call."""

from typing import Any

import torch
from torch import Tensor

from walras.errors import ConformanceError, InputError, SupplyExceededError
from walras.mechanisms.bids.interface import expands
from walras.mechanisms.clearing import Clearing
from walras.mechanisms.costs import resource_use, rounding


def as_resources(like: Tensor, supply: Any, cost: Any) -> tuple[Tensor, Tensor]:
    """Supply [..., K] and cost [..., n, K] in the dtype and on the device of `like` [..., n].

    Raises:
        InputError: shapes that do not fit the agents or the batch; a number below 0, or none; an infinite cost.
    """
    batch, n = like.shape[:-1], like.shape[-1]
    supply = torch.as_tensor(supply, dtype=like.dtype, device=like.device)
    supply = supply.unsqueeze(-1) if supply.ndim == 0 else supply
    cost = (
        like.new_ones(1, 1).expand(n, 1)
        if cost is None
        else torch.as_tensor(cost, dtype=like.dtype, device=like.device)
    )
    cost = cost.unsqueeze(-1) if cost.ndim == 1 else cost
    if cost.ndim < 2 or cost.shape[-2] != n or cost.shape[-1] != supply.shape[-1]:
        raise InputError(
            f"cost has shape {[*cost.shape]}; {n} agents and {supply.shape[-1]} resource(s) need "
            f"[..., {n}, {supply.shape[-1]}]"
        )
    for name, tensor, own in (("supply", supply, 1), ("cost", cost, 2)):
        if not expands(tensor.shape[:-own], batch):
            raise InputError(f"{name} has shape {[*tensor.shape]}, which does not fit a batch of {[*batch]} markets")
        bad = tensor.isnan() | (tensor < 0) | ((name == "cost") & tensor.isinf())
        if bad.any():
            raise InputError(f"{name} holds {tensor[bad][0].item()}; it must be a number of at least 0")
    return supply.expand(*batch, supply.shape[-1]), cost


def check_sale(rule: str, clearing: Clearing, agents: torch.Size, supply: Tensor, cost: Tensor) -> None:
    """Check what every rule must say itself: quantities of `agents` [..., n], and prices [..., K].

    Raises:
        ConformanceError: it is no clearing, or holds a part of a wrong shape or with numbers that cannot be.
        SupplyExceededError: more was handed out than there is.
    """
    if not isinstance(clearing, Clearing):
        raise ConformanceError(f"{rule}.clear returned {type(clearing).__name__}, not a Clearing")
    for part, expected in (("quantity", agents), ("price", supply.shape)):
        _check_part(rule, part, getattr(clearing, part), expected)
    if (clearing.quantity < 0).any():
        raise ConformanceError(f"{rule}: a quantity is negative ({clearing.quantity.min().item()})")
    used = resource_use(cost, clearing.quantity)
    over = used - supply.double() * (1 + rounding(cost.dtype))
    if (over > 0).any():
        worst = over.argmax()
        raise SupplyExceededError(
            f"{rule} handed out {used.flatten()[worst].item():.6g} of a supply of {supply.flatten()[worst].item():.6g}"
        )


def check_books(rule: str, clearing: Clearing, agents: torch.Size, supply: Tensor) -> None:
    """Check payments [..., n], status [...] and residual [..., K] of a complete clearing.

    Raises:
        ConformanceError: a part has a wrong shape, or holds numbers that cannot be.
    """
    for part, expected in (("payment", agents), ("status", agents[:-1]), ("residual", supply.shape)):
        _check_part(rule, part, getattr(clearing, part), expected, infinite=part == "residual")


def _check_part(rule: str, part: str, tensor: object, expected: torch.Size, infinite: bool = False) -> None:
    """`infinite`: whether infinity may be among the numbers; the residual of an infinite supply is -inf."""
    if not isinstance(tensor, Tensor):
        raise ConformanceError(f"{rule}: {part} is a {type(tensor).__name__}; it must be a Tensor")
    if tensor.shape != expected:
        raise ConformanceError(f"{rule}: {part} has shape {[*tensor.shape]}, expected {[*expected]}")
    bad = tensor.isnan() if infinite else ~tensor.isfinite()
    if bad.any():
        raise ConformanceError(f"{rule}: {part} holds {tensor[bad][0].item()}")
