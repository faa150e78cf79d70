"""Traces played by hand, and what holds of every policy on any trace."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.experiments.queries.unfunded import (
    Action,
    Case,
    Charge,
    Downgrade,
    Floor,
    GoTo,
    Most,
    Queue,
    Refuse,
    Reject,
    UnfundedRule,
    Wait,
)
from walras.experiments.replaying.figures import PolicyRun
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.optimum import most_right
from walras.experiments.replaying.replay import FLOOR, FUNDED, QUEUED, STATUS, UNFUNDED, Replayed, replay
from walras.experiments.replaying.requests import Requests
from walras.market.queries import ONLINE_POLICIES, CountWindows, OnlineMarket, OnlinePolicy, TimeWindows
from walras.market.queries.online import Seen
from walras.mechanisms.bids.surge import SurgeBids

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
    found = replay(trace(ROWS), market(), Queue(8.0), speed=10.0)
    assert found.granted.tolist() == [60, 40, 40, 60, 60]  # it is done at 11.2 s
    assert found.waited[3] == pytest.approx(6.0, abs=1e-3)
    assert (found.arrived_in[3], found.window[3]) == (0, 1)
    assert found.right[3]
    impatient = replay(trace(ROWS), market(), Queue(5.9), speed=10.0)
    assert impatient.status[3] == UNFUNDED
    assert isnan(impatient.waited[3])


def test_who_can_never_be_funded_takes_no_place_in_the_queue(trace: Trace) -> None:
    rows = [(0.0, 100, True), (1.0, 9, True), (2.0, 9, True), (14.0, 1, True)]
    requests = trace(rows, threshold=[99.0, 100.0, 99.0, 1.0])
    found = replay(requests, market(policy="shortest-first"), Queue(60.0, length=1), speed=10.0)
    assert [STATUS[code] for code in found.status] == ["funded", "unfunded", "queued", "funded"]


def test_who_waits_asks_before_those_who_come_later(trace: Trace) -> None:
    rows = [(0.0, 100, True), (1.0, 60, True), (2.0, 60, True), (10.5, 60, True), (25.0, 1, True)]
    found = replay(trace(rows), market(policy="fixed-cap:tokens=100"), Queue(60.0), speed=10.0)
    assert found.window.tolist() == [0, 1, 2, 3, 4]  # each takes all of a window while it is written
    assert found.waited.tolist() == pytest.approx([0, 9, 18, 19.5, 15], abs=1e-3)


def test_a_floor_is_charged_to_the_window_and_settled(trace: Trace) -> None:
    """The fourth gets 15 where nothing is left, and so do those after it, until the next window begins.

    What they do not use comes back to a window that has less than nothing; that of the seventh expires.
    """
    rows = [*ROWS[:4], (6.0, 3, True), (7.0, 14, True), (9.5, 6, True), (10.0, 1, True)]
    requests, played, rule = trace(rows), market(), Floor(15)
    found = replay(requests, played, rule, speed=10.0)
    assert found.granted.tolist() == [60, 40, 40, 15, 15, 15, 15, 60]
    assert found.used.tolist() == [20, 40, 40, 12, 3, 14, 6, 1]
    assert found.returned.tolist() == [40, 0, 0, 3, 12, 1, 0, 59]
    assert found.expired.tolist() == [0, 0, 0, 0, 0, 0, 9, 0]
    assert [STATUS[code] for code in found.status] == ["funded"] * 3 + ["floor"] * 4 + ["funded"]
    assert found.right.tolist() == [True, False, True, True, True, True, True, True]
    assert (played.granted, played.outstanding) == (260, 0)
    run = PolicyRun.from_replay("x", requests, found, Opening(100.0, 10.0), rule)
    assert run.windows["spent"].tolist() == [20 + 40 + 40 + 12 + 3 + 14 + 15, 1]  # what expired is spent
    assert run.windows["floor"].tolist() == [12 + 3 + 14 + 6, 0]
    assert run.windows["floored"].tolist() == [4, 0]
    none = replay(trace(ROWS, cap=0.0), market(), rule)
    assert none.status.tolist() == [UNFUNDED] * 5


def test_a_floor_is_no_query_of_a_window_of_queries(trace: Trace) -> None:
    played = OnlineMarket(100, CountWindows(3), ONLINE_POLICIES.make("fixed-cap:tokens=100"))
    found = replay(trace([(0.0, 100, True)] * 6), played, Floor(10), speed=10.0)
    assert found.window.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.granted.tolist() == [100, 10, 10, 100, 10, 10]


def test_a_queue_is_no_longer_than_its_length(trace: Trace) -> None:
    """The third finds the queue full; the fourth comes when the second has waited 3 s and left it; windows serve it."""
    rows = [(0.0, 100, True), (1.0, 9, True), (2.0, 9, True), (4.5, 9, True), (11.0, 9, True)]
    found = replay(trace(rows), market(policy="fixed-cap:tokens=100"), Queue(3.0, 1), speed=10.0)
    assert [STATUS[code] for code in found.status] == ["funded", *["unfunded"] * 3, "funded"]
    patient = replay(trace(rows), market(policy="fixed-cap:tokens=100"), Queue(6.0, 1), speed=10.0)
    assert [STATUS[code] for code in patient.status] == ["funded", *["unfunded"] * 3, "funded"]
    rows[3] = (7.5, 9, True)
    left = replay(trace(rows), market(policy="fixed-cap:tokens=100"), Queue(6.0, 1), speed=10.0)
    assert [STATUS[code] for code in left.status] == ["funded", "unfunded", "unfunded", "queued", "funded"]


def test_a_trace_knows_no_other_model(trace: Trace) -> None:
    with pytest.raises(InputError, match="--unfunded downgrade sends requests to another model, and a trace does not"):
        replay(trace(ROWS), market(), Downgrade("small"))
    with pytest.raises(InputError, match="--unfunded last sends requests to another model"):
        replay(trace([(0.0, 100, True), *ROWS]), market(policy="fixed-cap:tokens=100"), LastResort())


@dataclass(frozen=True)
class LastResort(UnfundedRule):
    """One waits, one is charged, and the others would go to another model."""

    name = "last"

    def action(self, case: Case) -> Action:
        return Wait(7.0) if case.waiting == 0 else GoTo("small")


@dataclass(frozen=True)
class Crowded(UnfundedRule):
    """One waits; meanwhile others are charged, if they may use little."""

    name = "crowded"

    def action(self, case: Case) -> Action:
        return Wait(12.0) if case.waiting < 1 else Charge(4) if case.cap < 60 else Refuse()

    def most(self) -> Most:
        return Most(12.0, 4)


def test_windows_of_requests(trace: Trace) -> None:
    played = OnlineMarket(100, CountWindows(2), ONLINE_POLICIES.make("fixed-cap:tokens=60"))
    found = replay(trace(ROWS), played, speed=10.0)
    assert found.window.tolist() == [0, 0, 1, 1, 2]
    assert found.granted.tolist() == [60, 40, 60, 40, 60]
    with pytest.raises(InputError, match="needs windows of time"):
        replay(trace(ROWS), played, Queue(5.0))


def test_a_speed_that_is_none(trace: Trace) -> None:
    for speed in (0.0, -1.0, nan, inf):
        with pytest.raises(InputError, match="tokens-a-second"):
            replay(trace(ROWS), market(), speed=speed)


def test_windows_begin_again_after_a_long_silence(trace: Trace) -> None:
    """Odd windows and late clocks: nobody asks twice in one window, and nobody waits beyond the time given."""
    rows = [(7_000_000.1 * i, 60, True) for i in range(3)]
    found = replay(trace([(0.0, 100, True), *rows]), market(seconds=0.3), Queue(1.0))
    assert np.isfinite(found.waited).all()
    assert (found.waited <= 1.0).all()


# The most that anybody could have answered.


def test_the_bound_by_hand(trace: Trace) -> None:
    """Of 20, 50, 40 and 12 tokens, three fit into 100; the fifth answer is wrong."""
    requests, arrived = trace(ROWS), np.array([0, 0, 0, 0, 1])
    assert most_right(requests, arrived, 100.0, Reject(), 10.0) == 3
    assert most_right(requests, arrived, 122.0, Reject(), 10.0) == 4
    assert most_right(requests, arrived, 62.0, Floor(15), 10.0) == 2 + 1  # the floor of the fourth is charged later
    assert most_right(requests, arrived, 60.0, Floor(15), 10.0) == 1 + 1  # 20 and 40 fit, and one of 50 does not
    swapped = trace([ROWS[3], *ROWS[:3]])  # now it comes first, and costs 12, or 1 if it is granted that
    assert most_right(swapped, np.zeros(4, dtype=int), 72.0, Floor(15), 10.0) == 2
    assert most_right(swapped, np.zeros(4, dtype=int), 73.0, Floor(15), 10.0) == 3
    assert most_right(requests, arrived, 100.0, Queue(8.0), 10.0) == 4  # one may be granted in window 1
    assert most_right(trace([(0.0, 5, False)]), np.array([0]), 100.0, Reject(), 10.0) == 0
    assert most_right(trace([(0.0, 5, True)], cap=4.0), np.array([0]), 100.0, Reject(), 10.0) == 0


def test_those_who_wait_share_the_budgets_of_few_windows(trace: Trace) -> None:
    """Six of 100 tokens each in the first of three windows of 100: with a reach of one window, two at most."""
    requests = trace([(0.0, 100, True)] * 6 + [(25.0, 100, True)])
    assert most_right(requests, np.array([0] * 6 + [2]), 100.0, Queue(9.0), 10.0) == 3


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
    assert most_right(requests, arrived, 12.0, Reject(), 10.0) == best


@dataclass(frozen=True)
class Scripted(OnlinePolicy):
    """Grants each request what a script says, at the ask that it says; requests are told by their thresholds."""

    name = "scripted"
    informed = False
    script: Mapping[int, tuple[int, int]]
    asked: Counter[int] = field(default_factory=Counter)

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        del seen
        (place,) = map(int, bids.threshold.tolist())
        self.asked[place] += 1
        ask, tokens = self.script[place]
        return [float(tokens) if self.asked[place] == ask else 0.0]


BRUTE_RULES = (
    Floor(3),
    Queue(11.0, 2),
    *(pytest.param(rule, marks=pytest.mark.nightly) for rule in (Reject(), Floor(20), Queue(25.0), Crowded())),
)


@pytest.mark.parametrize("rule", BRUTE_RULES, ids=str)
@given(
    rows=st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 1)), min_size=3, max_size=5),
    budget=st.integers(4, 14),
)
def test_of_all_that_a_policy_could_have_done_nothing_beats_the_bound(
    rule: UnfundedRule, rows: list[tuple[int, bool, int]], budget: int
) -> None:
    """Every request is granted its need, now or after it waited, one token, or nothing; all ways are played."""
    waits = rule.most().seconds > 0
    rows = sorted(rows[: 3 if waits else 5], key=lambda row: row[2])
    n = len(rows)
    tokens, correct, window = (np.array(column) for column in zip(*rows, strict=True))
    requests = Requests([str(i) for i in range(n)], 10.0 * (window - window[0]) + 0.5 * np.arange(n),
                        np.arange(n).astype(float), np.ones(n), np.full(n, 50.0), tokens, correct)  # fmt: skip
    choices = [sorted({(1, 0), (1, 1), (1, int(need)), (1 + waits, int(need))}) for need in tokens]
    best, bound = 0, 0
    for script in product(*choices):
        played = OnlineMarket(budget, TimeWindows(10.0, 3.0), Scripted(dict(enumerate(script))))
        found = replay(requests, played, rule, speed=1e9)
        best = max(best, int(found.right.sum()))
        bound = most_right(requests, found.arrived_in, float(budget), rule, 10.0)
        assert best <= bound
    assert waits or best == bound


RULES = (Reject(), Queue(7.0), Queue(25.0, 2), Floor(20), Crowded())
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
    name: str, requests: Requests, rule: UnfundedRule, counted: bool, speed: float
) -> None:
    opening = Opening(150.0, None, 3, 30.0) if counted and not rule.most().seconds else Opening(150.0, 10.0, None, 30.0)
    played = opening.market(name, requests)
    found = replay(requests, played, rule, speed)
    assert played.outstanding == 0
    assert played.granted == played.used + played.returned + played.expired
    assert played.over == 0
    for total, column in (("granted", found.granted), ("used", found.used), ("returned", found.returned),
                          ("expired", found.expired)):  # fmt: skip
        assert getattr(played, total) == column.sum()
    run = PolicyRun.from_replay(name, requests, found, opening, rule)
    check_windows(run, found)
    assert run.figures["right"] <= run.figures["most_right"]
    waited = found.waited[np.isfinite(found.waited)]
    assert ((waited >= 0) & (waited <= rule.most().seconds + 1e-9)).all()
    assert (found.granted <= requests.cap).all()


def check_windows(run: PolicyRun, found: Replayed) -> None:
    """The table of windows has the tokens of all, and none grants more than its budget, beside what it is charged."""
    windows = run.windows
    floors = np.bincount(found.window, (found.granted - found.returned) * (found.status == FLOOR), len(windows))
    assert (windows["spent"] - floors <= 150).all()
    assert windows["spent"].sum() == run.figures["granted"] - run.figures["returned"]
    assert windows["floor"].sum() == run.figures["floor_used"] == found.used[found.status == FLOOR].sum()
    assert windows["came"].sum() == len(found.status)
    for name, codes in (("funded", (FUNDED, QUEUED)), ("queued", (QUEUED,)), ("floored", (FLOOR,))):
        assert windows[name].sum() == run.figures[name] == np.isin(found.status, codes).sum()
    assert run.figures["unfunded"] + run.figures["funded"] + run.figures["floored"] == len(found.status)


def test_windows_without_number_are_told(trace: Trace) -> None:
    """Seconds of a clock among seconds from the start: a table of every window between would fill the memory."""
    requests = trace([(0.0, 20, True), (1.7e9, 20, True)])
    with pytest.raises(InputError, match=r"1.7e\+09 s after the first, which are 1.7e\+08 windows of 10 s"):
        Opening(100.0, seconds=10.0).market("clear", requests)
    Opening(100.0, seconds=3600.0).market("clear", requests)
    Opening(100.0, queries=5).market("clear", requests)
