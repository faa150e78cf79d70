"""How large and how small the numbers of bids may be, so that every price and every quantity is a number."""

import math
from typing import Any

import torch
from torch import Tensor

from walras.errors import InputError

_REACHED = 2.0**100
_HALF = 4096.0  # of float16: the root of its largest number would be less than attention scores are
SHARPEST, BLUNTEST = 1 + 2.0**-20, 2.0**10
"""Curvatures of Tsallis bids: nearer to 1 they are entropic ones, and far above every power overflows."""
TOKENS = 2.0**53
"""Whole numbers up to here are the same as real numbers."""


def largest(dtype: torch.dtype) -> float:
    """The largest value, temperature or slope.

    The product of any two of them, and their ratio, is a number; so is every price, which may be some hundred times a
    temperature, and the search for it (`root.bracket`) reaches it.
    """
    root: float = torch.finfo(dtype).max ** 0.5
    return min(max(root / 4, _HALF), _REACHED)


def as_values(name: str, value: Any) -> Tensor:
    """A float tensor [..., n] of reported values; -inf marks an agent that may not trade.

    Raises:
        InputError: no numbers, a scalar, one that is no number or above `largest`.
    """
    tensor = as_numbers(name, value)
    if tensor.ndim == 0:
        raise InputError(f"{name} must have shape [..., n]; a scalar was given ({value})")
    most = largest(tensor.dtype)
    bad = ~(tensor <= most)
    if bad.any():
        where = bad.nonzero()[0].tolist()
        raise InputError(
            f"{name} at {where} is {tensor[tuple(where)].item():g}; values must be numbers of at most {most:.3g}"
        )
    return tensor


def as_numbers(name: str, value: Any, like: Tensor | None = None) -> Tensor:
    """A float tensor of any shape, in the type and on the device of `like`, or else of its own.

    Raises:
        InputError: no real numbers.
    """
    try:
        tensor = torch.as_tensor(value) if like is None else torch.as_tensor(value, dtype=like.dtype).to(like.device)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{name} is {value!r}; it must be numbers [..., n]") from error
    if tensor.is_complex() or (torch.is_tensor(value) and value.is_complex()):
        raise InputError(f"{name} is complex; it must be real numbers")
    return tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())


def check_temperature(temperature: Any, like: Tensor) -> None:
    """Refuse a temperature by which no price can be found for bids `like`.

    Raises:
        InputError: no number; one that is so small that demand jumps from nothing to more than any number between two
            prices next to each other, or so large that the price is no number.
    """
    most, number = largest(like.dtype), math.nan
    if isinstance(temperature, Tensor) and temperature.numel() == 1:
        number = float(temperature.detach())
    elif isinstance(temperature, (int, float)):
        number = float(temperature)
    if not 1 / most <= number <= most:
        many = isinstance(temperature, Tensor) and temperature.numel() != 1
        told = f"of shape {[*temperature.shape]}" if many else temperature
        raise InputError(f"temperature is {told}; it must be one positive number, from {1 / most:.3g} to {most:.3g}")


def check_slopes(name: str, slopes: Tensor) -> None:
    """Refuse slopes or widths that are not above 0, or by which no price can be found.

    Raises:
        InputError: the first of them.
    """
    most = largest(slopes.dtype)
    # In float64 there is room for weights that are shares of the largest, over widths of many tokens.
    least = min(1 / most, max(most**-2, 4 * torch.finfo(slopes.dtype).tiny * most))
    bad = ~((slopes >= least) & (slopes <= most))
    if bad.any():
        raise InputError(
            f"{name} holds {slopes[bad][0].item():g}; valid: numbers above 0, from {least:.3g} to {most:.3g}"
        )


def check_tokens(name: str, tokens: Tensor) -> None:
    """Refuse numbers of tokens below 0, and those that are not exact; inf stands for no limit.

    Raises:
        InputError: the first of them.
    """
    bad = ~((tokens >= 0) & ((tokens <= TOKENS) | tokens.isposinf()))
    if bad.any():
        raise InputError(f"{name} holds {tokens[bad][0].item()}; valid: numbers of 0 or more, up to 2^53, or inf")
