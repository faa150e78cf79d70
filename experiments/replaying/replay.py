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
from walras.experiments.queries import unfunded as statuses
from walras.experiments.queries.unfunded import Case, Charge, GoTo, Reject, UnfundedRule, Wait, check_waiting, decide
from walras.experiments.replaying.requests import Column, Requests
from walras.market.queries import OnlineMarket, TimeWindows
from walras.market.queries.limits import amount

Whole = NDArray[np.int64]
UNFUNDED, FLOOR, QUEUED, FUNDED = range(4)
STATUS = (statuses.UNFUNDED, statuses.FLOOR, statuses.QUEUED, statuses.FUNDED)
"""What came of a request, in words."""
_DONE, _BEGINS, _LEAVES = range(3)  # events; at one time those that give tokens back come first


@final
@dataclass(frozen=True, eq=False)
class Replayed:
    """What came of every request [n] of a trace.

    Attributes:
        status: FUNDED, QUEUED (funded after it waited), FLOOR or UNFUNDED.
        granted: tokens; for the floor, the floor.
        used: the answer's tokens, as far as the grant goes.
        returned, expired: unused tokens that came back to their window, or too late.
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

    @property
    def funded(self) -> NDArray[np.bool_]:
        """Whether the policy granted each tokens [n], at once or after it waited."""
        return self.status >= QUEUED


def check_rule(rule: UnfundedRule, timed: bool) -> None:
    """Refuse a rule that no replay can carry out.

    Args:
        rule: for requests that are granted nothing.
        timed: windows are of time.

    Raises:
        InputError: what the rule asks for, and why that cannot be.
    """
    check_waiting(rule, timed)
    if isinstance(decide(rule, Case()), GoTo):
        raise _other_model(rule)


def replay(
    requests: Requests,
    market: OnlineMarket,
    rule: UnfundedRule | None = None,
    speed: float = 50.0,
    tell: Callable[[int], object] = lambda done: None,
) -> Replayed:
    """Offer each request at its arrival, and settle it when its answer ends, at its own end or at that of its grant.

    An answer takes used tokens / speed seconds from its grant on, however many are written at once. Those that come at
    the same time ask one after the other.

    Args:
        requests: the trace.
        market: that has seen nothing yet; afterwards nothing is outstanding.
        rule: what is to be done about requests that are granted nothing; they are refused by default.
        speed: tokens per second of an answer.
        tell: is told how many requests have arrived, every 1,000.

    Raises:
        InputError: no such speed, or a rule that cannot be carried out: `check_rule`.
    """
    loop = _Loop(requests, market, rule or Reject(), amount(speed, "--tokens-a-second", 1e-6, 1e12))
    with torch.inference_mode():  # takes a third of the time off: a market computes with very small tensors
        for place in range(len(requests)):
            loop.arrive(place)
            if place % 1000 == 999:
                tell(place + 1)
        loop.run_until(inf)
    return loop.found


@final
class _Loop:
    """Discrete events in a heap: answers that end, windows that begin while somebody waits, and who waits no longer."""

    def __init__(self, requests: Requests, market: OnlineMarket, rule: UnfundedRule, speed: float) -> None:
        self._requests, self._market, self._rule, self._speed = requests, market, rule, speed
        check_rule(rule, isinstance(market.windows, TimeWindows))
        n = len(requests)
        status, granted, used, returned, expired = np.zeros((5, n), dtype=np.int64)
        self.found = Replayed(
            status, granted, used, returned, expired, np.full(n, nan), np.full(n, -1), np.full(n, -1), np.full(n, nan),
            np.zeros(n, dtype=bool),
        )  # fmt: skip
        self._events: list[tuple[float, int, int]] = []  # when, what, and of which request
        self._waiting: dict[int, None] = {}  # in order of arrival
        self._asking: float | None = None  # when those that wait ask again
        self._due = inf  # when the window begins in which they do

    def arrive(self, place: int) -> None:
        """Let a request ask for the first time, after all that happens before it, and after those that wait."""
        now = float(self._requests.arrival[place])
        self.run_until(now)
        if self._waiting and now >= self._due:
            self._serve(now)
        if not self._ask(place, now):
            self._carry_out(place, now)

    def run_until(self, now: float) -> None:
        """Let happen what happens up to a time."""
        while self._events and self._events[0][0] <= now:
            at, event, place = heapq.heappop(self._events)
            if event == _DONE:
                self._settle(place, at)
            elif event == _LEAVES:
                self._waiting.pop(place, None)
            elif at == self._asking:
                self._serve(at)

    def _ask(self, place: int, now: float) -> bool:
        """Offer a request to the market; whether it was granted tokens."""
        requests, found = self._requests, self.found
        threshold, weight, cap = (float(c[place]) for c in (requests.threshold, requests.weight, requests.cap))
        grant = self._market.offer(requests.id[place], threshold, weight, cap, now)
        if found.arrived_in[place] < 0:
            found.arrived_in[place] = found.window[place] = self._market.windows.number
        found.price[place] = nan if self._market.price is None else grant.price
        if grant.max_tokens:
            self._answer(place, now, QUEUED if place in self._waiting else FUNDED, grant.max_tokens)
        return grant.max_tokens > 0

    def _carry_out(self, place: int, now: float) -> None:
        """What is to be done about a request that has come and was granted nothing."""
        action = decide(self._rule, Case(float(self._requests.cap[place]), waiting=len(self._waiting)))
        if isinstance(action, GoTo):
            raise _other_model(self._rule)
        if isinstance(action, Charge):
            self._market.charge(self._requests.id[place], action.tokens, now)
            self._answer(place, now, FLOOR, action.tokens)
        elif isinstance(action, Wait) and self._could_fund(place):
            self._waiting[place] = None
            heapq.heappush(self._events, (now + action.seconds, _LEAVES, place))
            self._set_timer(now)

    def _could_fund(self, place: int) -> bool:
        return self._market.could_fund(float(self._requests.threshold[place]), self._market.budget)

    def _serve(self, now: float) -> None:
        """A window has begun: all that wait ask again."""
        self._asking = None
        for place in [*self._waiting]:
            if self._ask(place, now):
                del self._waiting[place]
        if self._waiting:
            self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        windows = self._market.windows
        if self._asking is None and isinstance(windows, TimeWindows):
            self._due, self._asking = now + windows.left, windows.again
            heapq.heappush(self._events, (self._asking, _BEGINS, -1))

    def _answer(self, place: int, now: float, status: int, tokens: int) -> None:
        """Note what a request gets, and what its answer makes of it; it is settled when it ends."""
        requests, found = self._requests, self.found
        found.status[place], found.granted[place] = status, tokens
        found.window[place] = self._market.windows.number
        found.used[place] = min(tokens, int(requests.tokens[place]))
        found.waited[place] = max(now - float(requests.arrival[place]), 0.0)
        found.right[place] = bool(requests.correct[place]) and requests.tokens[place] <= tokens
        heapq.heappush(self._events, (now + found.used[place] / self._speed, _DONE, place))

    def _settle(self, place: int, now: float) -> None:
        settled = self._market.refund(self._requests.id[place], int(self.found.used[place]), now)
        self.found.returned[place], self.found.expired[place] = settled.returned, settled.expired


def _other_model(rule: UnfundedRule) -> InputError:
    return InputError(
        f"--unfunded {rule.name} sends requests to another model, and a trace does not know what that would have "
        "answered; valid: rules that refuse, wait or charge"
    )
