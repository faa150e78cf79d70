"""Numbers as people read them: the one way to write them, in reports, pictures and on the terminal.

Nothing here writes `nan`, `-0` or `1e-17`. What is absent is an en dash; what is only rounding is 0.
"""

import math
from collections.abc import Iterable
from typing import Any

ABSENT = "–"
ROUNDING = 1e-12
"""Below it a number of its own is rounding: the smallest sum of money is 2^-32, and losses are not known so well."""
_OF_LARGEST = 1e-9  # and below this share of the largest number beside it
_LEAST, _MOST = 1e-4, 1e9  # between them a number is written in full
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_absent(value: Any) -> bool:
    """Whether there is no number: None, or not a number (NaN, or a missing value of pandas)."""
    return value is None or bool(value != value)


def largest(values: Iterable[Any]) -> float:
    """The largest magnitude among a column's finite numbers; 0 where there are none."""
    sizes = (abs(float(v)) for v in values if isinstance(v, (int, float)) and not is_absent(v))
    return max((size for size in sizes if size < math.inf), default=0.0)


def number(value: Any, digits: int = 3, among: float = 0.0) -> str:
    """A number with so many significant digits; whole ones in full, very small and large ones as `2.5×10⁻⁶`.

    Args:
        value: a number, or None or NaN where there is none.
        digits: significant ones of a number that is not whole.
        among: the largest magnitude of the numbers beside it, next to which a tiny one is rounding.
    """
    if is_absent(value):
        return ABSENT
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if math.isinf(value):
        return "-∞" if value < 0 else "∞"
    if abs(value) <= max(ROUNDING, _OF_LARGEST * abs(among)):
        return "0"
    if abs(value) < _MOST and float(value).is_integer():
        return f"{int(value):,}"
    mantissa, _, exponent = f"{float(value):.{digits - 1}e}".partition("e")
    power = int(exponent)
    if _LEAST <= abs(value) < _MOST:
        return f"{value:,.{max(0, digits - 1 - power)}f}"
    return f"{mantissa}×10{str(power).translate(_RAISED)}"


def short(value: Any, digits: int = 3) -> str:
    """A number with as few digits as it needs, at most so many significant ones: a tick, a budget."""
    told = number(value, digits)
    whole, point, rest = told.partition(".")
    places, raised, power = rest.partition("×")
    return whole + (f".{places.rstrip('0')}".rstrip(".") if point else "") + raised + power


def quality(value: Any) -> str:
    """The figure of a metric: four decimals, as correlations and accuracies have them; of 10 and more, four digits."""
    if is_absent(value) or math.isinf(value) or abs(value) >= 10:
        return number(value, 4)
    return _without_sign_of_zero(f"{value:.4f}")


def difference(value: Any) -> str:
    """How far a metric is from another one, with its sign."""
    told = quality(value)
    return told if told[0] in f"-{ABSENT}" or not any(digit in told for digit in "123456789∞") else f"+{told}"


def decimals(value: Any, places: int = 3) -> str:
    """A number with so many decimals, for columns whose numbers are of one size, such as shares."""
    if is_absent(value) or math.isinf(value):
        return number(value)
    return _without_sign_of_zero(f"{value:,.{places}f}")


def percent(share: Any, places: int = 1) -> str:
    """`49.9 %` of a share."""
    return ABSENT if is_absent(share) or math.isinf(share) else f"{decimals(100 * share, places)} %"


def change(now: Any, before: Any) -> str:
    """By how much of its size a figure changed: `-0.6 %`; absent where that says nothing, of a figure of 0 or less."""
    if is_absent(now) or is_absent(before) or before <= 0 or math.isinf(now) or math.isinf(before):
        return ABSENT
    told = percent(now / before - 1)
    return told if told[0] == "-" or told == "0.0 %" else f"+{told}"


def count(value: Any) -> str:
    """A number of things."""
    return ABSENT if is_absent(value) else f"{int(value):,}"


def amounts(*values: Any, places: int = 0) -> list[str]:
    """Amounts side by side in one unit: `717 M` and `1,434 M`, the largest prefix that leaves two digits before it.

    Where no more than two are left, as in `8.5 G` and `17.7 G`, a third stands behind the point.
    """
    most = largest(values)
    scale, prefix = next(((s, f" {p}") for s, p in _PREFIXES if most >= 10 * s), (1.0, ""))
    places = max(places, 1 if prefix and most < 100 * scale else 0)
    return [ABSENT if is_absent(value) else f"{value / scale:,.{places}f}{prefix}" for value in values]


def megabytes(*sizes: Any) -> list[str]:
    """Bytes as megabytes, with three digits of the largest."""
    most = largest(sizes) / 1e6
    places = 1 if most >= 10 else 2 if most >= 1 else 3
    return [ABSENT if is_absent(size) else f"{size / 1e6:,.{places}f}" for size in sizes]


def _without_sign_of_zero(told: str) -> str:
    return told.removeprefix("-") if not any(digit in told for digit in "123456789") else told
