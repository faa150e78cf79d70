"""Traces played by hand, and what holds of every policy on any trace."""

from collections.abc import Callable
from itertools import combinations
from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.experiments.replaying.figures import PolicyRun
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.optimum import most_right
from walras.experiments.replaying.replay import FLOOR, FUNDED, UNFUNDED, Replayed, replay
from walras.experiments.replaying.requests import Requests
from walras.experiments.replaying.unfunded import Unfunded
from walras.market.queries import ONLINE_POLICIES, CountWindows, OnlineMarket, TimeWindows

Trace = Callable[..., Requests]
ROWS = [(0.0, 20, True), (1.0, 50, True), (3.0, 40, True), (4.0, 12, True), (12.0, 10, False)]
"""Windows of 10 seconds, 100 tokens each, 60 for everybody, 10 tokens a second.

0 gets 60 and uses 20; 1 gets the other 40, which is too little; 2 gets the 40 that 0 gave back at 2 s; for 3 nothing is
left, since 1 is cut off at 5 s with all its tokens used; 4 comes in the next window.
"""


def market(seconds: float = 10.0, policy: str = "fixed-cap:tokens=60", budget: float = 100.0) -> OnlineMarket:
    return OnlineMarket(budget, TimeWindows(seconds, expected=2), ONLINE_POLICIES.make(policy))


def test_refunds_come_back_in_time(trace: Trace) -> None:
    played, found = market(), replay(trace(ROWS), market(), speed=10.0)
    assert found.granted.tolist() == [60, 40, 40, 0, 60]
    assert found.used.tolist() == [20, 40, 40, 0, 10]
    assert found.returned.tolist() == [40, 0, 0, 0, 50]
    assert found.right.tolist() == [True, False, True, False, False]
    assert found.status.tolist() == [FUNDED, FUNDED, FUNDED, UNFUNDED, FUNDED]
    assert found.window.tolist() == found.arrived_in.tolist() == [0, 0, 0, 0, 1]
    assert found.waited.tolist() == pytest.approx([0, 0, 0, nan, 0], nan_ok=True)
    slow = replay(trace(ROWS), played, speed=5.0)  # 0 is done at 4 s: too late for 2, in time for 3
    assert slow.granted.tolist() == [60, 40, 0, 40, 60]
    assert played.outstanding == 0


def test_what_ends_in_a_later_window_has_expired(trace: Trace) -> None:
    found = replay(trace([(0.0, 5, True), (9.0, 30, True), (11.0, 5, True)]), market(), speed=10.0)
    assert found.granted.tolist() == [60, 60, 60]
    assert found.returned.tolist() == [55, 0, 55]  # the second is done at 12 s, in the window of the third
    assert found.expired.tolist() == [0, 30, 0]


def test_who_waits_asks_again_when_a_window_begins(trace: Trace) -> None:
    """The fourth may wait until 12 s, is granted at 10 s, and leaves the fifth 40 tokens and what it gives back."""
    found = replay(trace(ROWS), market(), Unfunded(seconds=8.0), speed=10.0)
    assert found.granted.tolist() == [60, 40, 40, 60, 60]  # it is done at 11.2 s
    assert found.waited[3] == pytest.approx(6.0, abs=1e-3)
    assert (found.arrived_in[3], found.window[3]) == (0, 1)
    assert found.right[3]
    impatient = replay(trace(ROWS), market(), Unfunded(seconds=5.9), speed=10.0)
    assert impatient.status[3] == UNFUNDED
    assert isnan(impatient.waited[3])


def test_who_waits_asks_before_those_who_come_later(trace: Trace) -> None:
    rows = [(0.0, 100, True), (1.0, 60, True), (2.0, 60, True), (10.5, 60, True), (25.0, 1, True)]
    found = replay(trace(rows), market(policy="fixed-cap:tokens=100"), Unfunded(seconds=60.0), speed=10.0)
    assert found.window.tolist() == [0, 1, 2, 3, 4]  # each takes all of a window while it is written
    assert found.waited.tolist() == pytest.approx([0, 9, 18, 19.5, 15], abs=1e-3)


def test_a_floor_is_beside_the_budget(trace: Trace) -> None:
    requests = trace(ROWS)
    found = replay(requests, market(), Unfunded(floor=15), speed=10.0)
    assert (found.status[3], found.granted[3], found.used[3]) == (FLOOR, 15, 12)
    assert found.right[3]
    assert found.granted.tolist() == [60, 40, 40, 15, 60]
    run = PolicyRun.from_replay("x", requests, found, Opening(100.0, 10.0), Unfunded(floor=15))
    assert run.windows["spent"].tolist() == [100 + 12, 10]
    assert run.windows["floor"].tolist() == [12, 0]
    none = replay(trace(ROWS, cap=0.0), market(), Unfunded(floor=15))
    assert none.status.tolist() == [UNFUNDED] * 5


def test_windows_of_requests(trace: Trace) -> None:
    played = OnlineMarket(100, CountWindows(2), ONLINE_POLICIES.make("fixed-cap:tokens=60"))
    found = replay(trace(ROWS), played, speed=10.0)
    assert found.window.tolist() == [0, 0, 1, 1, 2]
    assert found.granted.tolist() == [60, 40, 60, 40, 60]
    with pytest.raises(InputError, match="needs windows of time"):
        replay(trace(ROWS), played, Unfunded(seconds=5.0))


def test_a_speed_that_is_none(trace: Trace) -> None:
    for speed in (0.0, -1.0, nan, inf):
        with pytest.raises(InputError, match="tokens-a-second"):
            replay(trace(ROWS), market(), speed=speed)


def test_windows_begin_again_after_a_long_silence(trace: Trace) -> None:
    """Odd windows and late clocks: nobody asks twice in one window, and nobody waits beyond the time given."""
    rows = [(7_000_000.1 * i, 60, True) for i in range(3)]
    found = replay(trace([(0.0, 100, True), *rows]), market(seconds=0.3), Unfunded(seconds=1.0))
    assert np.isfinite(found.waited).all()
    assert (found.waited <= 1.0).all()


# The most that anybody could have answered.


def test_the_bound_by_hand(trace: Trace) -> None:
    """Of 20, 50, 40 and 12 tokens, three fit into 100; the fifth answer is wrong."""
    requests, arrived = trace(ROWS), np.array([0, 0, 0, 0, 1])
    assert most_right(requests, arrived, 100.0, Unfunded(), 10.0) == 3
    assert most_right(requests, arrived, 122.0, Unfunded(), 10.0) == 4
    assert most_right(requests, arrived, 62.0, Unfunded(floor=15), 10.0) == 1 + 2  # 12 is within the floor
    assert most_right(requests, arrived, 100.0, Unfunded(seconds=8.0), 10.0) == 4  # one may be granted in window 1
    assert most_right(trace([(0.0, 5, False)]), np.array([0]), 100.0, Unfunded(), 10.0) == 0
    assert most_right(trace([(0.0, 5, True)], cap=4.0), np.array([0]), 100.0, Unfunded(), 10.0) == 0


def test_those_who_wait_share_the_budgets_of_few_windows(trace: Trace) -> None:
    """Six of 100 tokens each in the first of three windows of 100: with a reach of one window, two at most."""
    requests = trace([(0.0, 100, True)] * 6 + [(25.0, 100, True)])
    assert most_right(requests, np.array([0] * 6 + [2]), 100.0, Unfunded(seconds=9.0), 10.0) == 3


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 1)), min_size=1, max_size=7))
def test_without_waiting_the_bound_is_reached(rows: list[tuple[int, bool, int]]) -> None:
    rows.sort(key=lambda row: row[2])
    n = len(rows)
    requests = Requests(
        [str(i) for i in range(n)], np.zeros(n), np.ones(n), np.ones(n), np.full(n, inf),
        np.array([row[0] for row in rows]), np.array([row[1] for row in rows]),
    )  # fmt: skip
    arrived = np.array([row[2] for row in rows])
    best = 0
    for window in (0, 1):
        needs = [tokens for tokens, correct, when in rows if correct and when == window]
        fit = [len(some) for k in range(len(needs) + 1) for some in combinations(needs, k) if sum(some) <= 12]
        best += max(fit)
    assert most_right(requests, arrived, 12.0, Unfunded(), 10.0) == best


RULES = (Unfunded(), Unfunded(seconds=7.0), Unfunded(seconds=25.0), Unfunded(floor=20))
NAMES = sorted(ONLINE_POLICIES)


@st.composite
def traces(draw: st.DrawFn) -> Requests:
    rows = draw(
        st.lists(
            st.tuples(
                st.floats(0, 12), st.floats(0, 100) | st.just(inf), st.floats(0.01, 10),
                st.floats(0, 120) | st.just(inf), st.integers(0, 120), st.booleans(),
            ),
            min_size=1, max_size=14,
        )
    )  # fmt: skip
    gap, threshold, weight, cap, tokens, correct = (np.array(column) for column in zip(*rows, strict=True))
    arrival = np.cumsum(gap) - gap[0]
    return Requests([str(i) for i in range(len(rows))], arrival, threshold, weight, cap, tokens, correct)


@pytest.mark.parametrize("name", NAMES)
@given(requests=traces(), rule=st.sampled_from(RULES), counted=st.booleans(), speed=st.sampled_from((3.0, 50.0)))
def test_tokens_are_conserved_and_nobody_beats_the_bound(
    name: str, requests: Requests, rule: Unfunded, counted: bool, speed: float
) -> None:
    opening = Opening(150.0, None, 3, 30.0) if counted and not rule.seconds else Opening(150.0, 10.0, None, 30.0)
    played = opening.market(name, requests)
    found = replay(requests, played, rule, speed)
    assert played.outstanding == 0
    assert played.granted == played.used + played.returned + played.expired
    assert played.over == 0
    funded = found.status == FUNDED
    for total, column in (("granted", found.granted), ("used", found.used), ("returned", found.returned),
                          ("expired", found.expired)):  # fmt: skip
        assert getattr(played, total) == column[funded].sum()
    run = PolicyRun.from_replay(name, requests, found, opening, rule)
    check_windows(run, found)
    assert run.figures["right"] <= run.figures["most_right"]
    waited = found.waited[np.isfinite(found.waited)]
    assert ((waited >= 0) & (waited <= rule.seconds + 1e-9)).all()
    assert (found.granted <= requests.cap).all()


def check_windows(run: PolicyRun, found: Replayed) -> None:
    """The table of windows has the tokens of all, and none spends more than its budget, floors aside."""
    windows = run.windows
    assert ((windows["granted"] - windows["returned"]) <= 150).all()
    assert windows["spent"].sum() == run.figures["granted"] - run.figures["returned"] + run.figures["floor_used"]
    assert windows["came"].sum() == len(found.status)
    assert windows["funded"].sum() == (found.status == FUNDED).sum()
    assert run.figures["unfunded"] + run.figures["funded"] + run.figures["floored"] == len(found.status)
