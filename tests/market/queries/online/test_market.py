"""Queries that come one at a time."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.market.queries import Clear, OnlineMarket, Queries, Settlement

RATE, WINDOW, HEADROOM = 300.0, 500, 300.0


def stream(n: int, seed: int, mean: float = 6.0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(mean, 0.8, n)


def run(thresholds: np.ndarray, market: OnlineMarket) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and prices [n]."""
    grants = [market.offer(str(i), float(t)) for i, t in enumerate(thresholds)]
    return np.array([g.max_tokens for g in grants]), np.array([g.price for g in grants])


def utility(thresholds: np.ndarray, tokens: np.ndarray) -> float:
    x = np.clip((tokens - thresholds) / HEADROOM, 0, 1)
    return float((x * np.exp(1 - x))[tokens > 0].sum())


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
def test_close_to_the_offline_optimum_when_arrivals_are_stationary(seed: int) -> None:
    thresholds = stream(10 * WINDOW, seed)
    market = OnlineMarket(RATE * WINDOW, WINDOW, headroom=HEADROOM)
    tokens, _ = run(thresholds, market)
    after = slice(2 * WINDOW, None)  # burn-in: two windows
    best = Clear(headroom=HEADROOM)(Queries(thresholds[after]), RATE * 8 * WINDOW)
    assert utility(thresholds[after], tokens[after]) >= 0.95 * best.utility.sum()
    for start in range(0, len(tokens), WINDOW):
        assert tokens[start : start + WINDOW].sum() <= RATE * WINDOW


@pytest.mark.nightly
def test_a_shift_of_the_mix_moves_the_price() -> None:
    thresholds = np.concatenate([stream(5 * WINDOW, 0, 5.0), stream(5 * WINDOW, 1, 7.0)])
    _, prices = run(thresholds, OnlineMarket(RATE * WINDOW, WINDOW, headroom=HEADROOM))
    before, after = (
        Clear(headroom=HEADROOM)(Queries(part), RATE * WINDOW * 5).price
        for part in (thresholds[: 5 * WINDOW], thresholds[5 * WINDOW :])
    )
    assert before is not None
    assert after is not None
    assert np.median(prices[3 * WINDOW : 5 * WINDOW]) == pytest.approx(before, rel=0.25)
    assert np.median(prices[8 * WINDOW :]) == pytest.approx(after, rel=0.25)


def test_the_price_moves_by_mirror_descent() -> None:
    """By hand: price * exp(step * (granted - rho) / rho), rho = 100 tokens; step is 1 / sqrt(window) by default."""
    market = OnlineMarket(1000, 10, headroom=100.0)
    first, second = market.offer("a", 50.0), market.offer("b", 1e6)
    assert market.price is not None
    assert second.max_tokens == 0 < first.max_tokens
    step = 10**-0.5
    assert second.price == pytest.approx(first.price * np.exp(step * (first.max_tokens - 100) / 100), rel=0.01)
    assert market.price == pytest.approx(second.price * np.exp(-step), rel=1e-12)


def test_what_was_learned_longer_moves_less() -> None:
    """By hand: a query that asks for nothing moves the price by exp(-step), 1 / sqrt(queries met, up to 1,000)."""
    market = OnlineMarket(1000, 4, headroom=100.0)
    for met in range(1200):
        market.price = 1.0  # far above what so long a query pays
        market.offer(str(met), 1e6)
        assert market.price == pytest.approx(np.exp(-(max(4, min(met, 1000)) ** -0.5)), rel=1e-9)


def test_refunds_come_back_and_lower_the_price() -> None:
    market = OnlineMarket(1000, 10, headroom=50.0)
    first = market.offer("a", 80.0)
    assert first.status == "funded"
    left, price = market.left, market.price
    assert left == 1000 - first.max_tokens
    assert market.refund("a", first.max_tokens - 30) == Settlement("a", returned=30, expired=0, over=0)
    assert market.left == left + 30
    assert market.price is not None
    assert price is not None
    assert market.price < price
    with pytest.raises(InputError, match="'a' is not live"):
        market.refund("a", 1)
    second = market.offer("a", 80.0)
    assert market.refund("a", second.max_tokens) == Settlement("a", returned=0, expired=0, over=0)


def test_what_is_used_beyond_a_grant_is_charged_to_the_window() -> None:
    market = OnlineMarket(1000, 10, headroom=50.0)
    granted = market.offer("a", 80.0).max_tokens
    left, price = market.left, market.price
    assert price is not None
    assert market.refund("a", granted + 700) == Settlement("a", returned=0, expired=0, over=700)
    assert market.left == left - 700
    assert market.price is not None
    assert market.price > price
    assert market.over == 700
    market.price = 1e-9
    market.offer("b", 10.0)
    market.refund("b", 5000)  # more than there is: nothing is granted until the window ends
    assert market.left < 0
    assert [market.offer(str(i), 1.0).max_tokens for i in range(8)] == [0] * 8
    assert market.offer("next", 1.0).max_tokens > 0


def test_a_late_refund_lets_no_window_grant_more_than_its_budget() -> None:
    market = OnlineMarket(500, 2, headroom=400.0, step=0.1)
    first = market.offer("a", 100.0).max_tokens
    market.offer("b", 1e6)
    second = market.offer("c", 100.0).max_tokens  # of the second window
    assert first > 100 < second
    left, price = market.left, market.price
    assert left == 500 - second
    assert market.refund("a", 0) == Settlement("a", returned=0, expired=first, over=0)
    assert (market.left, market.price, market.expired) == (left, price, first)
    market.price = 1e-9
    assert market.offer("d", 0.0).max_tokens + second <= 500
    assert market.refund("c", 0).returned == second  # its own window takes it back


@given(
    st.floats(1, 2**53),
    st.integers(1, 5),
    st.lists(
        st.tuples(st.floats(0, 2**53) | st.just(np.inf), st.floats(1e-12, 1e12), st.floats(0, 2**53), st.floats(0, 2)),
        max_size=12,
    ),
)
def test_no_window_grants_more_than_its_budget(
    budget: float, window: int, queries: list[tuple[float, float, float, float]]
) -> None:
    """Whatever is asked for and settled: what a window granted less what came back to it is within its budget."""
    market = OnlineMarket(budget, window)
    held: dict[int, int] = {}
    for i, (threshold, weight, cap, share) in enumerate(queries):
        grant = market.offer(str(i), threshold, weight, cap)
        assert 0 <= grant.max_tokens <= cap
        assert math.isfinite(grant.price)
        assert math.isfinite(grant.surplus)
        held[i // window] = held.get(i // window, 0) + grant.max_tokens
        assert held[i // window] <= budget
        if grant.max_tokens and share <= 1:
            settled = market.refund(str(i), int(grant.max_tokens * share))
            held[i // window] -= settled.returned
            assert settled.returned + settled.expired + int(grant.max_tokens * share) == grant.max_tokens


def test_bad_queries_are_named_and_change_nothing() -> None:
    market = OnlineMarket(1000, 10)
    market.offer("a", 10.0)
    state = market.state()
    found = market.offer_all([("b", float("nan"), 1.0, 100.0), ("c", -1.0, 1.0, 100.0), ("a", 10.0, 1.0, 100.0),
                              ("d", 10.0, 0.0, 100.0), ("e", 10.0, 1.0, float("nan")), ("f", 1e300, 1.0, 1e3),
                              ("g", 10.0, 1e308, 1e3), ("h", 10.0, 1.0, 1e300), ("i", 10**400, 1.0, 1e3)])  # fmt: skip
    assert [g.status for g in found] == ["bad"] * 9
    assert market.state() == state
    assert len(market) == 1


def test_together_and_apart() -> None:
    """Queries of one window meet one price; an id counts once; the hopeless get nothing."""
    market = OnlineMarket(1000, 4, headroom=100.0)
    found = market.offer_all([("a", 100.0, 1.0, 1e9), ("b", 5.0, 1.0, 1e9), ("b", 5.0, 1.0, 1e9), ("c", 1e9, 1.0, 1e9)])
    assert len({g.price for g in found}) == 1
    assert [g.status for g in found] == ["funded", "funded", "bad", "abandoned"]
    assert found[0].max_tokens - 100 == pytest.approx(found[1].max_tokens - 5, abs=1)
    assert market.offer_all([]) == []


def test_nothing_is_granted_beyond_the_window() -> None:
    market = OnlineMarket(100, 3, headroom=10.0)
    grants = [market.offer(str(i), 60.0) for i in range(9)]
    assert [g.max_tokens > 0 for g in grants[:3]].count(True) == 1
    assert market.granted == sum(g.max_tokens for g in grants)


@pytest.mark.parametrize(
    "bad",
    [
        {"budget": 0},
        {"budget": float("nan")},
        {"budget": float("inf")},
        {"budget": 1e30},
        {"budget": 10**400},
        {"window": 0},
        {"window": 1.5},
        {"window": 10**400},
        {"headroom": 0.0},
        {"headroom": 1e300},
        {"step": 1e300},
    ],
)
def test_bad_input(bad: dict[str, float]) -> None:
    given: dict[str, Any] = {"budget": 100, "window": 3, **bad}
    with pytest.raises(InputError):
        OnlineMarket(**given)
