"""What goes into a rule and what comes out of it, checked on every call."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from walras.errors import ConformanceError, InputError, SupplyExceededError
from walras.mechanisms.bids.interface import Bids, expands
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import resource_use, rounding
from walras.mechanisms.traits import INDIVISIBLE

LEFT_OUT = ("payment", "status", "residual")
"""Parts that a rule may leave to `completed`."""


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


def check_sale(rule: str, sale: Clearing, bids: Bids, supply: Tensor, cost: Tensor, floor: float | None) -> None:
    """Check what a rule says itself: quantities [..., n] and prices [..., K], and whatever else it does not leave out.

    Args:
        rule: its name.
        sale: what it returned.
        bids: what it was given; levels of indivisible ones are 0 and 1.
        supply: [..., K].
        cost: [..., n, K].
        floor: below which it says that no price falls; None where it says nothing of it.

    Raises:
        ConformanceError: it is no clearing, or holds a part of a wrong kind or with numbers that cannot be.
        SupplyExceededError: more was handed out than there is.
    """
    if not isinstance(sale, Clearing):
        raise ConformanceError(f"{rule}.clear returned {type(sale).__name__}, not a Clearing")
    if not isinstance(sale.method, str):
        raise ConformanceError(f"{rule}: method is a {type(sale.method).__name__}; it must be a str")
    like = bids.reservation_price()
    said = [part for part in LEFT_OUT if not sale.lacks(part)]
    check_parts(rule, sale, ("quantity", "price", *said), like, supply)
    if (sale.quantity < 0).any():
        raise ConformanceError(f"{rule}: a quantity is negative ({sale.quantity.min().item()})")
    used = resource_use(cost, sale.quantity)
    over = used - supply.double() * (1 + rounding(cost.dtype))
    if (over > 0).any():
        worst = over.argmax()
        raise SupplyExceededError(
            f"{rule} handed out {used.flatten()[worst].item():.6g} of a supply of {supply.flatten()[worst].item():.6g}"
        )
    if INDIVISIBLE in bids.traits:
        part_of = sale.quantity[(sale.quantity != 0) & (sale.quantity != 1)]
        if len(part_of):
            raise ConformanceError(f"{rule}: a quantity is {part_of[0].item()}; the bids are indivisible: 0 or 1")
    if floor is not None and (sale.price < torch.tensor(floor, dtype=sale.price.dtype)).any():
        raise ConformanceError(f"{rule}: a price is {sale.price.min().item()}, below its price floor {floor}")


def check_parts(rule: str, clearing: Clearing, parts: Iterable[str], like: Tensor, supply: Tensor) -> None:
    """Check some parts of a clearing for bids `like` [..., n].

    Raises:
        ConformanceError: a part has a wrong type or shape, or holds numbers that cannot be.
    """
    shapes = {"quantity": like.shape, "payment": like.shape, "status": like.shape[:-1]}
    for part in parts:
        _check_part(rule, part, getattr(clearing, part), shapes.get(part, supply.shape), like.device)


def _check_part(rule: str, part: str, tensor: object, expected: torch.Size, device: torch.device) -> None:
    """The residual of an infinite supply is -inf; no other number is infinite. A status is a code of `Status`."""
    if not isinstance(tensor, Tensor):
        raise ConformanceError(f"{rule}: {part} is a {type(tensor).__name__}; it must be a Tensor")
    if tensor.shape != expected:
        raise ConformanceError(f"{rule}: {part} has shape {[*tensor.shape]}, expected {[*expected]}")
    if tensor.layout != torch.strided or tensor.device != device:
        raise ConformanceError(
            f"{rule}: {part} is {tensor.layout} on {tensor.device}; it must be dense, on {device} as the bids are"
        )
    whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
    if not whole and (part == "status" or not tensor.is_floating_point()):
        wanted = "a whole number, the code of a Status" if part == "status" else "a real number"
        raise ConformanceError(f"{rule}: {part} is {tensor.dtype}; it must be {wanted}")
    if part == "status":
        bad = (tensor < min(Status)) | (tensor > max(Status))
    else:
        bad = tensor.isnan() if part == "residual" else ~tensor.isfinite()
    if bad.any():
        valid = f"; it must be a code of Status, 0 to {max(Status):d}" if part == "status" else ""
        raise ConformanceError(f"{rule}: {part} holds {tensor[bad][0].item()}{valid}")
