"""What holds of every policy, and what each grants, by hand."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import ConformanceError, InputError
from walras.market.queries import ONLINE_POLICIES, Clear, OnlineMarket, OnlinePolicy, Queries, TimeWindows
from walras.market.queries.online.multiplier_search import best_size, multiplier
from walras.market.queries.online.policy import Seen, surge_bids

NAMES = sorted(ONLINE_POLICIES)
HEADROOM = 100.0


def market(name: str, budget: float = 1000.0, window: int = 4, **more: float) -> OnlineMarket:
    return OnlineMarket(budget, window, ONLINE_POLICIES.make(name), headroom=HEADROOM, **more)


@pytest.mark.parametrize("name", NAMES)
@given(
    queries=st.lists(
        st.tuples(st.floats(0, 2**53) | st.just(np.inf), st.floats(1e-6, 1e6), st.floats(0, 2**53), st.floats(0, 3)),
        max_size=15,
    )
)
def test_tokens_are_conserved_and_no_window_grants_more_than_its_budget(
    name: str, queries: list[tuple[float, float, float, float]]
) -> None:
    found, held = market(name), dict[int, int]()
    for i, (threshold, weight, cap, share) in enumerate(queries):
        grant = found.offer(str(i), threshold, weight, cap)
        assert 0 <= grant.max_tokens <= cap
        assert math.isfinite(grant.price)
        held[i // 4] = held.get(i // 4, 0) + grant.max_tokens
        assert held[i // 4] <= 1000
        if grant.max_tokens and share <= 2:
            held[i // 4] -= found.refund(str(i), int(grant.max_tokens * share)).returned
        assert found.granted + found.over == found.used + found.returned + found.expired + found.outstanding


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_goes_on_from_its_state(name: str) -> None:
    draws = np.random.default_rng(0).lognormal(5, 1, 60)
    whole, first, second = market(name), market(name), market(name)
    told = [whole.offer(str(i), t).max_tokens for i, t in enumerate(draws)]
    again = [first.offer(str(i), t).max_tokens for i, t in enumerate(draws[:30])]
    second.restore(first.state())
    again += [second.offer(str(i + 30), t).max_tokens for i, t in enumerate(draws[30:])]
    assert again == told


@pytest.mark.parametrize("name", NAMES)
def test_queries_that_come_together_and_none(name: str) -> None:
    found = market(name)
    assert found.offer_all([]) == []
    assert len(found.offer_all([("a", 10.0, 1.0, 1e9), ("b", 20.0, 1.0, 5.0)])) == 2


def test_an_equal_share_for_all() -> None:
    found = market("uniform")
    assert [found.offer(str(i), t, cap=c).max_tokens for i, (t, c) in enumerate([(9, 1e9), (900, 1e9), (9, 7)])] == [
        250, 250, 7,
    ]  # fmt: skip


def test_the_same_cap_for_all_first_come_first_served() -> None:
    found = market("fixed-cap:tokens=400")
    assert [found.offer(str(i), 900.0).max_tokens for i in range(5)] == [400, 400, 200, 0, 400]
    with pytest.raises(InputError):
        ONLINE_POLICIES.make("fixed-cap:tokens=0")


def test_what_is_left_goes_to_the_first() -> None:
    found = market("unlimited")
    assert [found.offer(str(i), 5.0, cap=600.0).max_tokens for i in range(3)] == [600, 400, 0]


def test_shares_in_proportion_to_thresholds() -> None:
    """The first by its own threshold, the second by the first's: 250 * 50 / 100; then 250 * 300 / 75."""
    found = market("proportional", budget=2000, window=8)
    assert [found.offer(str(i), t).max_tokens for i, t in enumerate([100.0, 50.0, 300.0])] == [250, 125, 1000]


def test_short_ones_first() -> None:
    """Needs of 110, 120, ..., 160 with shares of 100 each: 110 + 120 + 130 + 140 = 500 of 600 fit; 150 does not."""
    found = market("shortest-first", budget=400, window=4)
    for i, threshold in enumerate([10.0, 60.0, 20.0, 50.0, 30.0, 40.0]):
        found.offer(f"before {i}", threshold)
    found = _with_fresh_window(found)
    assert found.offer("longer", 45.0).max_tokens == 0
    assert found.offer("short", 40.0).max_tokens == 140


def _with_fresh_window(found: OnlineMarket) -> OnlineMarket:
    """The windows end, and what was seen stays."""
    while found.left < found.budget:
        found.offer(f"waits {found.windows.number} {found.left}", float("inf"))
    return found


def test_the_multiplier_is_where_recent_queries_spend_their_share() -> None:
    draws = torch.tensor(np.random.default_rng(1).lognormal(5.5, 0.7, 200))
    bids = surge_bids([(float(t), 1.0, math.inf) for t in draws], HEADROOM)
    found = multiplier(bids, 200.0)
    assert float(best_size(bids, found).mean()) <= 200
    assert float(best_size(bids, found * 0.99).mean()) > 200
    assert multiplier(bids, 1e9) == 0


def test_sizes_are_powers_of_two_and_the_best_one_wins() -> None:
    """At a price of 0 the smallest size that satiates; where utility is less than the cost, none."""
    bids = surge_bids([(100.0, 1.0, math.inf), (100.0, 1.0, 150.0)], HEADROOM)
    assert best_size(bids, 0.0).tolist() == [256, 150]
    assert best_size(bids, 1.0).tolist() == [0, 0]


@pytest.mark.parametrize("rate", [2.0, pytest.param(20.0, marks=pytest.mark.nightly)])
def test_clear_in_windows_of_time_is_close_to_the_optimum_of_all_windows(rate: float) -> None:
    """Poisson arrivals: at least 85 % of what the batch rule makes of all queries at once, with the same tokens."""
    random = np.random.default_rng(int(rate))
    times = np.cumsum(random.exponential(1 / rate, int(rate * 600)))
    thresholds = random.lognormal(5.5, 0.8, len(times))
    budget = 300 * rate * 30
    found = OnlineMarket(budget, TimeWindows(30, expected=10), headroom=HEADROOM)
    come = enumerate(zip(thresholds, times, strict=True))
    tokens = np.array([found.offer(str(i), t, now=at).max_tokens for i, (t, at) in come])
    late = times > 120
    x = np.clip((tokens - thresholds) / HEADROOM, 0, 1)
    utility = float((x * np.exp(1 - x))[late & (tokens > 0)].sum())
    best = Clear(headroom=HEADROOM)(Queries(thresholds[late]), budget * (times[-1] - 120) / 30)
    assert utility >= 0.85 * best.utility.sum()
    assert tokens[late].sum() <= budget * ((times[-1] - 120) / 30 + 2)


def test_an_idle_window_forgets_the_price() -> None:
    found = OnlineMarket(1000, TimeWindows(10, expected=5), headroom=HEADROOM)
    first = found.offer("a", 50.0, now=0.0).price
    for i in range(20):
        found.offer(str(i), 50.0, now=0.1)
    assert found.price is not None
    assert found.price > 2 * first
    found.pass_time(100.0)
    assert found.price is None


def test_a_policy_of_ones_own_is_named_where_it_fails() -> None:
    class Broken(OnlinePolicy):
        name = "broken"

        def wanted(self, bids: object, seen: object) -> list[float]:
            raise ZeroDivisionError("no tokens")

    with pytest.raises(Exception, match="policy Broken"):
        OnlineMarket(1000, 4, Broken()).offer("a", 5.0)


@pytest.mark.parametrize("told", [None, [], [5.0, 5.0], [math.nan], [-1.0], ["5"], [True], 5.0])
def test_a_policy_that_talks_nonsense_is_told_and_grants_nothing(told: Any) -> None:
    @dataclass(frozen=True)
    class Odd(OnlinePolicy):
        name = "odd"

        def wanted(self, bids: object, seen: object) -> Any:
            return told

    found = OnlineMarket(1000, 4, Odd())
    with pytest.raises(ConformanceError, match=r"policy Odd.* it wants "):
        found.offer("a", 5.0)
    assert (found.granted, found.outstanding, found.left) == (0, 0, 1000)


@pytest.mark.parametrize("price", [math.nan, -1.0, math.inf, "dear"])
def test_a_price_that_is_none_is_told_and_grants_nothing(price: Any) -> None:
    @dataclass(frozen=True)
    class Dear(OnlinePolicy):
        name = "dear"

        def wanted(self, bids: object, seen: Seen) -> list[float]:
            return [50.0]

        def moved(self, seen: Seen, tokens: float) -> None:
            if tokens:
                seen.price = price

    found = OnlineMarket(1000, TimeWindows(10, expected=5), Dear())
    calls: list[Callable[[], object]] = [lambda: found.offer("a", 5.0), lambda: found.charge("b", 64)]
    for call in calls:
        with pytest.raises(ConformanceError, match=r"policy Dear.* its price is "):
            call()
        assert (found.granted, found.outstanding, found.left, found.price) == (0, 0, 1000, None)


def test_a_policy_cannot_fill_a_window() -> None:
    @dataclass(frozen=True)
    class Generous(OnlinePolicy):
        name = "generous"

        def wanted(self, bids: object, seen: Seen) -> list[float]:
            seen.left += 1e6
            return [5000.0]

    found = OnlineMarket(1000, 4, Generous())
    with pytest.raises(ConformanceError, match=r"policy Generous.* it changes the window, or what is left of it"):
        found.offer("a", 5.0)
    assert (found.granted, found.left) == (0, 1000)


def test_a_query_that_no_window_can_fund_moves_no_price() -> None:
    found = OnlineMarket(1000, TimeWindows(10, expected=5), headroom=HEADROOM)
    before = found.offer("a", 50.0).price
    found.refund("a", 0)
    kept = found.price
    assert not found.offer("hopeless", 1000.0, weight=1e9).max_tokens
    assert found.price == kept
    assert found.offer("b", 50.0).max_tokens
    assert before > 0
