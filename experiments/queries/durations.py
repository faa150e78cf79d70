"""How long a window is, as people write it: 500, 60s, 500ms, 5m, 1h."""

import re

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.limits import amount

_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"\s*(\d*\.?\d+(?:e\d+)?)\s*([a-z]*)\s*", re.ASCII)


def seconds_of(text: str, option: str = "--per") -> float:
    """Seconds that a text such as `60s`, `500ms`, `2m`, `1h` or `90` tells.

    Raises:
        InputError: another text, or not from 0.001 to 10^9 seconds; it names the option.
    """
    found = _DURATION.fullmatch(text.lower())
    unit = _UNITS.get(found[2]) if found else None
    if found is None or unit is None:
        raise InputError(f"{option} is {shown(text)}; valid: a time such as 90, 60s, 500ms, 2m, 1h or 1d")
    return amount(float(found[1]) * unit, f"{option} in seconds", 1e-3, 1e9)
