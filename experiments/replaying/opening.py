"""How long a window is, and markets that begin anew for every policy."""

from dataclasses import dataclass
from typing import final

import numpy as np

from walras.errors import InputError
from walras.experiments.queries.typical import GUESS, expecting_windows, typical_tokens
from walras.experiments.replaying.requests import Requests
from walras.market.queries import ONLINE_POLICIES, CountWindows, OnlineMarket, Windows
from walras.market.queries.limits import amount

MOST_WINDOWS = 5_000_000
"""Windows of time of a trace; every one is a row of a table, also where nobody came."""


@final
@dataclass(frozen=True)
class Opening:
    """What all markets of a replay have in common.

    Attributes:
        budget: tokens per window.
        seconds: of a window; None where windows count queries.
        queries: of a window; None where windows are of time.
        headroom: of the market; None lets it adapt.
        typical: tokens that a request is taken to get, as long as nothing is known of how many come in a window of
            time; None is twice the mean threshold of the trace, as a gateway takes twice what it guesses.
    """

    budget: float
    seconds: float | None = 60.0
    queries: int | None = None
    headroom: float | None = None
    typical: float | None = None

    def __post_init__(self) -> None:
        amount(1.0 if self.typical is None else self.typical, "--typical", 1.0)
        if self.typical is not None and self.queries is not None:
            raise InputError("--typical tells how many requests a window of time may have; --window counts them")

    def market(self, policy: str, requests: Requests) -> OnlineMarket:
        """A market of a policy, `NAME:key=value` or `FILE.py:Class`, that has seen nothing yet.

        Raises:
            InputError: no such policy, budget or window; windows without number.
        """
        return OnlineMarket(self.budget, self._windows(requests), ONLINE_POLICIES.make(policy), headroom=self.headroom)

    def typical_of(self, requests: Requests) -> float | None:
        """Tokens that a request of a trace is taken to get at first; None where windows are not of time."""
        if self.queries is not None or self.typical is not None:
            return self.typical
        finite = requests.threshold[np.isfinite(requests.threshold)]
        return max(typical_tokens(float(finite.mean()) if len(finite) else GUESS), 1.0)

    def _windows(self, requests: Requests) -> Windows:
        if self.queries is not None:
            return CountWindows(self.queries)
        windows = expecting_windows(self.seconds or 0.0, self.budget, self.typical_of(requests) or 0.0)
        number, last = float(requests.arrival[-1]) / windows.seconds, float(requests.arrival[-1])
        if number > MOST_WINDOWS:
            raise InputError(
                f"the last request comes {last:g} s after the first, which are {number:g} windows of "
                f"{windows.seconds:g} s; valid: up to {MOST_WINDOWS:,}. Are all arrivals seconds by one clock?"
            )
        return windows
