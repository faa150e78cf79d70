"""How long a window is, and markets that begin anew for every policy."""

import re
from dataclasses import dataclass
from typing import final

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.replaying.requests import Requests
from walras.market.queries import ONLINE_POLICIES, CountWindows, OnlineMarket, TimeWindows, Windows
from walras.market.queries.limits import amount

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-z]*)\s*")


def seconds_of(text: str) -> float:
    """Seconds of a text such as `60s`, `500ms`, `5m`, `1h`, or `60`.

    Raises:
        InputError: no such text, or not from 0.001 to 10^9 seconds.
    """
    found = _DURATION.fullmatch(text.lower())
    unit = _UNITS.get(found[2] or "s") if found else None
    if found is None or unit is None:
        raise InputError(f"--per is {shown(text)}; valid: a time like 60s, 500ms, 5m or 1h")
    return amount(float(found[1]) * unit, "--per in seconds", 1e-3, 1e9)


@final
@dataclass(frozen=True)
class Opening:
    """What all markets of a replay have in common.

    Attributes:
        budget: tokens per window.
        seconds: of a window; None where windows count queries.
        queries: of a window; None where windows are of time.
        headroom: of the market; None lets it adapt.
    """

    budget: float
    seconds: float | None = 60.0
    queries: int | None = None
    headroom: float | None = None

    def market(self, policy: str, requests: Requests) -> OnlineMarket:
        """A market of a policy, `NAME:key=value` or `FILE.py:Class`, that has seen nothing yet.

        Where windows are of time it is told how many requests a window of the trace has on average, as somebody knows
        who has served before; from there on it counts for itself.

        Raises:
            InputError: no such policy, budget or window.
        """
        return OnlineMarket(self.budget, self._windows(requests), ONLINE_POLICIES.make(policy), headroom=self.headroom)

    def _windows(self, requests: Requests) -> Windows:
        if self.queries is not None:
            return CountWindows(self.queries)
        seconds = amount(self.seconds, "seconds of a window", 1e-3, 1e9)
        return TimeWindows(seconds, len(requests) / max(float(requests.arrival[-1]) / seconds, 1.0))
