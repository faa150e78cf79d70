"""Numbers that a market of queries works with: within them prices stay finite and grants are exact whole numbers."""

from math import inf, nan
from typing import Any

from walras.errors import InputError
from walras.escaping import shown

MOST_TOKENS = 2**53
"""Tokens of a budget, threshold, cap or headroom; up to here whole numbers and real numbers are the same."""
LEAST_HEADROOM = 1e-6
LEAST_WEIGHT, MOST_WEIGHT = 1e-12, 1e12


def amount(value: Any, what: str, least: float, most: float = MOST_TOKENS, *, unlimited: bool = False) -> float:
    """A number between limits, or infinity where something may be `unlimited`.

    Raises:
        InputError: another value.
    """
    number = real(value)
    if not (least <= number <= most or (unlimited and number == inf)):
        ends = f"from {least:g} to {most:g}{', or inf' if unlimited else ''}"
        raise InputError(f"{what} is {shown(value)}; it must be a number {ends}")
    return number


def real(value: Any) -> float:
    """A value as a real number; NaN for what is none, or has more digits than a real number."""
    if isinstance(value, (bool, str, bytes)):
        return nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # a tensor of several numbers raises the last
        return nan


def as_plain(number: float) -> float | None:
    """A number as plain data, which know no infinity: None."""
    return None if number == inf else number


def from_plain(value: float | None) -> float:
    """The number that `as_plain` wrote."""
    return inf if value is None else float(value)
