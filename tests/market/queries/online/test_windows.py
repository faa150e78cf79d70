"""Windows of queries and of seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.market.queries import CountWindows, OnlineMarket, TimeWindows


def test_so_many_queries_are_one_window() -> None:
    windows = CountWindows(3)
    assert [windows.arrive() for _ in range(7)] == [False, False, False, True, False, False, True]
    assert windows.number == 2
    assert windows.expected == 3
    assert windows.counted(2) == pytest.approx(2 / 3)
    assert windows.passed(1e9) == 0


def test_windows_of_seconds_follow_each_other() -> None:
    windows, begun = TimeWindows(10, expected=5), []
    for now in (100.0, 109.9, 110.0, 111.0, 145.0, 149.9, 150.0):
        windows.passed(now)
        begun.append(windows.arrive())
    assert begun == [False, False, True, False, True, False, True]
    assert windows.number == 5  # 110, 120, 130, 140, 150
    windows.passed(152.0)
    assert windows.left == pytest.approx(8.0)


def test_a_clock_that_is_set_back_stands_still() -> None:
    windows = TimeWindows(10, expected=5)
    assert windows.passed(50.0) == 0
    windows.arrive()
    assert windows.passed(55.0) == pytest.approx(0.5)
    assert windows.passed(20.0) == 0
    assert windows.passed(56.0) == pytest.approx(0.1)
    assert not windows.arrive()


def test_at_most_one_window_passes_at_once() -> None:
    windows = TimeWindows(10, expected=5)
    windows.passed(0.0)
    assert windows.passed(1000.0) == 1


@pytest.mark.parametrize("rate", [0.5, 4.0, 40.0])
def test_the_number_of_queries_a_window_is_learned(rate: float) -> None:
    windows = TimeWindows(10, expected=1000)
    for i in range(int(rate * 120)):
        windows.passed(i / rate)
        windows.arrive()
    assert windows.expected == pytest.approx(rate * 10, rel=0.15, abs=0.6)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 500), st.floats(0, 2)), min_size=1, max_size=25),
    st.integers(0, 24),
    st.integers(0, 40),
)
def test_a_market_goes_on_from_its_state(events: list[tuple[int, float, float]], stop: int, pause: int) -> None:
    """Who goes on from plain data grants as who never stopped, whatever the clock of the new process says."""

    def play(market: OnlineMarket, part: list[tuple[int, float, float, float]], shift: float) -> list[object]:
        found: list[object] = []
        for i, now, threshold, share in part:
            grant = market.offer(str(i), threshold, now=now + shift)
            found.append((grant.max_tokens, pytest.approx(grant.price, rel=1e-9)))
            if grant.max_tokens and share <= 1:
                found.append(market.refund(str(i), int(share * grant.max_tokens), now=now + shift))
        return found

    now, rows = 0.0, []
    for i, (gap, threshold, share) in enumerate(events):
        now += gap
        rows.append((i, now, threshold, share))
    before, after = rows[:stop], rows[stop:]
    went, stopped = (OnlineMarket(1000, TimeWindows(20, expected=5), headroom=50.0) for _ in range(2))
    assert play(went, before, 0.0) == play(stopped, before, 0.0)
    last = before[-1][1] if before else 0.0
    fresh = OnlineMarket(1000, TimeWindows(20, expected=5), headroom=50.0)
    fresh.restore(stopped.state(), now=last + pause + 2.0**20, ago=pause)
    went.pass_time(last + pause)
    later = [(i, now + pause, threshold, share) for i, now, threshold, share in after]
    assert play(went, later, 0.0) == play(fresh, later, 2.0**20)
    assert went.state()["totals"] == fresh.state()["totals"]


def test_a_state_whose_clock_was_set_back_is_not_younger() -> None:
    market = OnlineMarket(1000, TimeWindows(20, expected=5))
    market.offer("a", 10.0, now=100.0)
    market.pass_time(110.0)
    fresh = OnlineMarket(1000, TimeWindows(20, expected=5))
    fresh.restore(market.state(), now=5.0, ago=-3600.0)
    assert isinstance(fresh.windows, TimeWindows)
    assert fresh.windows.left == pytest.approx(10.0)
    assert fresh.left == market.left


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"seconds": float("nan")}, {"seconds": 1e12}, {"expected": 0}])
def test_bad_input(bad: dict[str, float]) -> None:
    with pytest.raises(InputError):
        TimeWindows(**{"seconds": 10.0, "expected": 5.0, **bad})
