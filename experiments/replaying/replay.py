"""Plays a trace against a market: requests ask when they arrive, and are settled when they are done."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.errors import InputError
from walras.experiments.replaying.requests import Column, Requests
from walras.experiments.replaying.unfunded import Unfunded
from walras.market.queries import OnlineMarket, TimeWindows
from walras.market.queries.limits import amount

Whole = NDArray[np.int64]
FUNDED, FLOOR, UNFUNDED = 2, 1, 0
"""What came of a request: tokens of the budget, the floor, or nothing."""
STATUS = {FUNDED: "funded", FLOOR: "floor", UNFUNDED: "unfunded"}
_DONE, _BEGINS = 0, 1  # events; at one time those that give tokens back come first
_LATER = 1e-6  # of a window: by so much later it is asked again, so that rounding does not put it into the one before


@final
@dataclass(frozen=True, eq=False)
class Replayed:
    """What came of every request [n] of a trace.

    Attributes:
        status: FUNDED, FLOOR or UNFUNDED.
        granted: tokens; for the floor, the floor.
        used: the answer's tokens, as far as the grant goes.
        returned, expired: unused tokens of the budget that came back to their window, or too late.
        waited: seconds from arrival to grant; NaN without one.
        arrived_in: number of the window in which it came.
        window: number of the window that granted; that of its arrival, where none did.
        price: per token that it met when it last asked; NaN where the policy has none.
        right: whether a correct answer ended within its grant.
    """

    status: Whole
    granted: Whole
    used: Whole
    returned: Whole
    expired: Whole
    waited: Column
    arrived_in: Whole
    window: Whole
    price: Column
    right: NDArray[np.bool_]


def replay(
    requests: Requests,
    market: OnlineMarket,
    unfunded: Unfunded | None = None,
    speed: float = 50.0,
    tell: Callable[[int], object] = lambda done: None,
) -> Replayed:
    """Offer each request at its arrival, and settle it when its answer ends, at its own end or at that of its grant.

    An answer takes used tokens / speed seconds from its grant on, however many are written at once. Those that come at
    the same time ask one after the other.

    Args:
        requests: the trace.
        market: that has seen nothing yet; afterwards nothing is outstanding.
        unfunded: what becomes of requests that are not funded; they are turned away by default.
        speed: tokens per second of an answer.
        tell: is told how many requests have arrived, every 1,000.

    Raises:
        InputError: no such speed, or requests that wait for windows that are counted in queries.
    """
    loop = _Loop(requests, market, unfunded or Unfunded(), amount(speed, "--tokens-a-second", 1e-6, 1e12))
    with torch.inference_mode():  # takes a third of the time off: a market computes with very small tensors
        for place in range(len(requests)):
            loop.arrive(place)
            if place % 1000 == 999:
                tell(place + 1)
        loop.run_until(inf)
    return loop.found


@final
class _Loop:
    """Discrete events in a heap: answers that end, and windows that begin while somebody waits."""

    def __init__(self, requests: Requests, market: OnlineMarket, unfunded: Unfunded, speed: float) -> None:
        self._requests, self._market, self._rule, self._speed = requests, market, unfunded, speed
        windows = market.windows
        if unfunded.seconds and not isinstance(windows, TimeWindows):
            raise InputError(
                "--unfunded queue needs windows of time, --per: where queries are counted, one that asks again would "
                "count as another one"
            )
        self._seconds = windows.seconds if isinstance(windows, TimeWindows) else inf
        n = len(requests)
        status, granted, used, returned, expired = (np.zeros(n, dtype=np.int64) for _ in range(5))
        self.found = Replayed(
            status, granted, used, returned, expired, waited=np.full(n, nan), arrived_in=np.full(n, -1),
            window=np.full(n, -1), price=np.full(n, nan), right=np.zeros(n, dtype=np.bool_),
        )  # fmt: skip
        self._events: list[tuple[float, int, int]] = []  # when, what, and of which request
        self._waiting: list[int] = []  # in order of arrival

    def arrive(self, place: int) -> None:
        """Let a request ask for the first time, after all that happens before it."""
        now = float(self._requests.arrival[place])
        self.run_until(now)
        self._ask(place, now)

    def run_until(self, now: float) -> None:
        """Let happen what happens up to a time."""
        while self._events and self._events[0][0] <= now:
            at, event, place = heapq.heappop(self._events)
            if event == _DONE:
                self._settle(place, at)
            else:
                waiting, self._waiting = self._waiting, []
                for one in waiting:
                    self._ask(one, at)

    def _ask(self, place: int, now: float) -> None:
        requests, found = self._requests, self.found
        threshold, weight, cap = (float(c[place]) for c in (requests.threshold, requests.weight, requests.cap))
        grant = self._market.offer(requests.id[place], threshold, weight, cap, now)
        window = self._market.windows.number
        if found.arrived_in[place] < 0:
            found.arrived_in[place] = found.window[place] = window
        found.price[place] = nan if self._market.price is None else grant.price
        if grant.max_tokens:
            found.window[place] = window
            self._answer(place, now, FUNDED, grant.max_tokens)
            heapq.heappush(self._events, (now + found.used[place] / self._speed, _DONE, place))
        elif self._next_window(now) <= requests.arrival[place] + self._rule.seconds:
            if not self._waiting:
                heapq.heappush(self._events, (self._next_window(now), _BEGINS, place))
            self._waiting.append(place)
        elif self._rule.floor and cap >= 1:
            self._answer(place, now, FLOOR, int(min(self._rule.floor, cap)))

    def _answer(self, place: int, now: float, status: int, tokens: int) -> None:
        """Note what a request gets, and what its answer makes of it."""
        requests, found = self._requests, self.found
        found.status[place], found.granted[place] = status, tokens
        found.used[place] = min(tokens, int(requests.tokens[place]))
        found.waited[place] = max(now - float(requests.arrival[place]), 0.0)
        found.right[place] = bool(requests.correct[place]) and requests.tokens[place] <= tokens

    def _settle(self, place: int, now: float) -> None:
        settled = self._market.refund(self._requests.id[place], int(self.found.used[place]), now)
        self.found.returned[place], self.found.expired[place] = settled.returned, settled.expired

    def _next_window(self, now: float) -> float:
        """When the next window begins; windows follow each other from the first arrival on, which is at 0."""
        if self._seconds == inf:
            return inf
        return (now // self._seconds + 1 + _LATER) * self._seconds
