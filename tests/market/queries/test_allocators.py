"""Token budgets: exact against iterative, the edge cases of CLEAR, and what every allocator must keep."""

import json
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from walras.errors import ConformanceError, InputError, RequirementError, UnknownNameError
from walras.market.queries import (
    ALLOCATORS,
    SHAPES,
    Allocator,
    Clear,
    Exact,
    Oracle,
    PlainClear,
    Posted,
    Queries,
    Regime,
)
from walras.market.queries.allocation import whole_tokens

NAMES = list(ALLOCATORS)


def make(name: str, **settings: Any) -> Allocator:
    return ALLOCATORS.make(name, price=0.001, **settings)


def wrong(value: Any) -> Any:
    """A value that no type checker would let pass."""
    return value


def lognormal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(6, 0.8, n)


def surge(room: np.ndarray, headroom: float) -> np.ndarray:
    """Utility of tokens above the threshold, 1 at the peak."""
    x = np.clip(room / headroom, 0, 1)
    return x * np.exp(1 - x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [0, 1, 57.5, 5e3, 4e4, 1e6, np.inf])
def test_what_all_keep(name: str, budget: float) -> None:
    threshold = lognormal(60)
    threshold[[3, 7, 11, 20]] = np.nan, -5, np.inf, 0
    found = make(name, headroom=300.0)(Queries(threshold), budget)
    assert found.tokens.dtype == np.int64
    assert (found.tokens >= 0).all()
    assert found.spent <= budget
    assert found.tokens[[3, 7]].tolist() == [0, 0]
    assert found.status[[3, 7]].tolist() == ["bad", "bad"]
    assert found.bad.sum() == 2
    assert (found.surplus >= 0).all()
    if found.price is not None:
        assert found.duality_gap is not None
        assert found.duality_gap >= 0
        assert np.isfinite(found.price)
    summary = found.summary()
    assert summary["funded"] + summary["abandoned"] + summary["bad"] == 60
    if budget == np.inf and name not in ("clock", "posted"):
        assert found.regime == Regime.ABUNDANT
        assert found.spent <= np.nansum(threshold[np.isfinite(threshold) & (threshold >= 0)]) + 60 * 301  # not infinite
    if budget == 0:
        assert found.regime == Regime.UNAFFORDABLE
        assert found.spent == 0


@pytest.mark.parametrize("seed", range(40))
def test_clear_is_the_optimum(seed: int) -> None:
    random = np.random.default_rng(seed)
    threshold = random.lognormal(5, 0.8, int(random.choice([1, 2, 5, 9, 60, 400])))
    budget = float(random.uniform(0.02, 1.1) * (threshold + 200).sum())
    clear, exact = Clear(headroom=200.0)(Queries(threshold), budget), Exact(headroom=200.0)(Queries(threshold), budget)
    assert clear.utility.sum() == pytest.approx(exact.utility.sum(), rel=2e-3, abs=0.02)  # whole tokens
    assert clear.regime == exact.regime
    assert PlainClear(headroom=200.0)(Queries(threshold), budget).utility.sum() <= exact.utility.sum() + 0.02


@pytest.mark.parametrize("seed", range(20))
def test_exact_against_all_sets(seed: int) -> None:
    random = np.random.default_rng(seed)
    threshold, headroom = random.lognormal(5, 0.8, int(random.integers(1, 10))), 100.0
    budget = float(random.uniform(0.05, 1.0) * (threshold + headroom).sum())
    best = 0.0
    for k in range(1, len(threshold) + 1):
        for chosen in combinations(threshold, k):
            if sum(chosen) <= budget:
                best = max(best, k * float(surge(np.array((budget - sum(chosen)) / k), headroom)))
    queries = Queries(threshold)
    rule = Exact(headroom=headroom)
    tokens, _ = rule.grant(queries, queries.bids(budget, headroom), budget)
    assert surge(tokens - threshold, headroom)[tokens > 0].sum() == pytest.approx(best, rel=1e-12)


def test_exact_against_dynamic_programming() -> None:
    """20 queries, splits in steps of 5 tokens and unequal ones allowed: never beaten by more than the grid."""
    threshold, headroom, step, budget = np.round(lognormal(20, 1) / 5) * 5, 200.0, 5, 4000
    worth = np.zeros(budget // step + 1)
    tokens = np.arange(0, budget + 1, step)
    for tau in threshold:
        single = np.where(tokens > tau, surge(tokens - tau, headroom), 0.0)
        worth = np.array([(worth[: i + 1][::-1] + single[: i + 1]).max() for i in range(len(worth))])
    found = Exact(headroom=headroom)(Queries(threshold), budget).utility.sum()
    assert worth[-1] - 0.01 <= found <= worth[-1] + 0.05


@pytest.mark.parametrize(
    "scale", [1e-3, *(pytest.param(scale, marks=pytest.mark.nightly) for scale in (0.3, 7.0, 1e3))]
)
def test_scaling_all_weights_changes_no_grant(scale: float) -> None:
    threshold = lognormal(300, 2)
    for weight in (np.ones(300), np.random.default_rng(0).uniform(0.2, 5, 300)):
        plain = Clear(headroom=300.0)(Queries(threshold, weight), 6e4)
        scaled = Clear(headroom=300.0)(Queries(threshold, weight * scale), 6e4)
        assert plain.price is not None
        assert (scaled.tokens == plain.tokens).all()
        assert scaled.price == pytest.approx(plain.price * scale, rel=1e-12)
        assert scaled.utility.sum() == pytest.approx(plain.utility.sum() * scale, rel=1e-12)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 5e3)), st.floats(0, 1e5), st.sampled_from(NAMES))
def test_more_budget_never_hurts_clear_and_nobody_overspends(threshold: np.ndarray, budget: float, name: str) -> None:
    queries = Queries(threshold)
    found = make(name, headroom=100.0)(queries, budget)
    assert found.spent <= budget
    if name in ("clear", "exact"):
        more = make(name, headroom=100.0)(queries, budget * 1.3 + 10)
        assert more.utility.sum() >= found.utility.sum() - 0.03 * len(threshold)  # whole tokens
        assert (more.price or 0.0) <= (found.price or 0.0) * (1 + 1e-6) or name == "exact"
        one_more = make(name, headroom=100.0)(Queries(np.append(threshold, 50.0)), budget)
        assert one_more.utility.sum() >= found.utility.sum() - 0.03 * len(threshold)


def columns(n: int, *values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, n, elements=st.one_of(*values))


TOKENS = (st.floats(0, 2**53), st.floats(0, 1e4), st.integers(0, 2**53).map(float))


@st.composite
def extreme(draw: st.DrawFn) -> Queries:
    """Queries anywhere within the limits."""
    n = draw(st.integers(1, 12))
    return Queries(
        draw(columns(n, *TOKENS, st.sampled_from((np.inf, np.nan, -1.0)))),
        draw(st.none() | columns(n, st.floats(1e-12, 1e12), st.just(1.0))),
        draw(st.none() | columns(n, st.floats(1e-6, 2**53), st.floats(1, 1e4), st.just(np.nan))),
        draw(st.none() | columns(n, *TOKENS, st.just(np.inf))),
    )


@settings(max_examples=2 * settings().max_examples)
@given(
    extreme(),
    st.one_of(*TOKENS, st.sampled_from((0.0, 2.0**53, 1e-300, 5e-324))),
    st.sampled_from([name for name in NAMES if name != "exact"]),
    st.sampled_from(sorted(SHAPES)),
)
def test_grants_never_overflow(queries: Queries, budget: float, name: str, shape: str) -> None:
    """Tokens up to 2^53: never less than nothing, nor more than a cap or the budget; prices are finite."""
    found = make(name, utility=shape)(queries, budget)
    assert (found.tokens >= 0).all()
    assert sum(found.tokens.tolist()) <= budget
    if queries.cap is not None:
        assert (found.tokens <= queries.cap).all()
    assert np.isfinite(found.surplus).all()
    assert np.isfinite(found.utility).all()
    assert found.price is None or np.isfinite(found.price)
    json.dumps(found.summary(), allow_nan=False)


def test_without_a_limit_grants_add_up_to_what_can_be_counted() -> None:
    with pytest.raises(InputError, match="give a budget"):
        Clear()(Queries(np.full(3, 2.0**52)), np.inf)
    assert Clear(headroom=1.0)(Queries(np.full(2, 2.0**51)), np.inf).spent == 2**52 + 2


def test_whole_tokens_keep_caps_and_budget() -> None:
    assert whole_tokens(np.array([150.9, 10.3]), 162, np.array([150.9, 99.0])).tolist() == [150, 11]
    assert whole_tokens(np.array([5.0, 7, 6]), 16).tolist() == [5, 5, 6]
    assert whole_tokens(np.array([1.0, 1, 1]), 0).tolist() == [0, 0, 0]


@dataclass(frozen=True)
class Careless(Allocator):
    """Grants what it is told to."""

    tokens: tuple[Any, ...] = ()
    told: Any = None
    name = "careless"

    def grant(self, queries: Queries, bids: Any, budget: float) -> Any:
        return np.array(self.tokens), self.told


@pytest.mark.parametrize(
    ("tokens", "price", "message"),
    [
        ((-1.0, 2.0), None, "grants query 0 -1.0 tokens"), ((np.nan, 2.0), None, "grants query 0 nan"),
        ((1.0, 9.0), None, "grants query 1 9.0 tokens; valid: 0 to 8"), ((1e19, 1.0), None, "grants query 0 1e"),
        ((8.0, 8.0), None, "16 tokens of 10"), ((1.0,), None, "an array of 2 numbers"), (("a", "b"), None, "an array"),
        ((1.0, 1.0), np.nan, "has price nan"), ((1.0, 1.0), np.inf, "has price inf"),
        ((1.0, 1.0), "x", "has price 'x'"),
    ],
)  # fmt: skip
def test_an_allocator_that_hands_out_nonsense_is_named(tokens: Any, price: Any, message: str) -> None:
    with pytest.raises(ConformanceError, match=f"careless .*{message}"):
        Careless(tokens=tokens, told=price)(Queries(np.ones(2), cap=np.full(2, 8.0)), 10)


def test_permuting_queries_permutes_grants() -> None:
    threshold, order = lognormal(50, 3), np.random.default_rng(1).permutation(50)
    for name in ("clear", "clear-plain", "exact", "clock", "posted", "shortest-first"):
        here = make(name, headroom=200.0)(Queries(threshold), 9e3)
        there = make(name, headroom=200.0)(Queries(threshold[order]), 9e3)
        assert np.abs(there.tokens - here.tokens[order]).max() <= 1


def test_all_equal_thresholds() -> None:
    queries = Queries(np.full(10, 500.0))
    clear, plain = Clear(headroom=300.0)(queries, 2600), PlainClear(headroom=300.0)(queries, 2600)
    assert sorted(clear.tokens.tolist()) == [0] * 6 + [650] * 4
    assert plain.spent == 0
    assert plain.unspent == 2600
    assert plain.regime == Regime.UNAFFORDABLE


def test_a_budget_between_the_threshold_and_the_least_purchase() -> None:
    queries = Queries(np.array([500.0, 900.0]))
    assert PlainClear(headroom=300.0)(queries, 560).spent == 0
    assert Clear(headroom=300.0)(queries, 560).tokens.tolist() == [560, 0]
    assert Exact(headroom=300.0)(queries, 560).tokens.tolist() == [560, 0]
    below = Clear(headroom=300.0)(queries, 499)
    assert below.regime == Regime.UNAFFORDABLE
    assert below.unspent == 499
    assert below.price == pytest.approx(float(queries.bids(499, 300.0).reservation_price()[0]))


def test_regimes() -> None:
    queries = Queries(np.array([100.0, 200, 300]))
    for budget, expected in (
        (1500, "abundant"),
        (1499, "scarce"),
        (1200, "scarce"),
        (350, "abandonment"),
        (90, "unaffordable"),
    ):
        assert Clear(headroom=300.0)(queries, budget).regime == expected
    assert Clear(headroom=300.0)(queries, 2000).price == 0
    assert Clear(headroom=300.0)(queries, 2000).unspent == 500
    assert Clear()(Queries(np.array([np.inf, np.nan])), 100).regime == Regime.EMPTY
    assert Clear()(Queries(np.zeros(0)), 100).regime == Regime.EMPTY


def test_thresholds_of_zero_have_no_jump() -> None:
    found = Clear(headroom=100.0)(Queries(np.zeros(4)), 200)
    assert found.tokens.tolist() == [50] * 4
    assert PlainClear(headroom=100.0)(Queries(np.zeros(4)), 200).spent >= 196  # concave: the price alone sells out


def test_caps() -> None:
    cap = np.array([1000.0, 600, 550, 500])
    found = Clear(headroom=300.0)(Queries(np.full(4, 500.0), cap=cap), 1e5)
    assert found.tokens.tolist() == [800, 600, 550, 0]
    assert found.status[3] == "abandoned"
    with pytest.raises(RequirementError, match="allocator clear takes any"):
        Exact(headroom=300.0)(Queries(np.full(4, 500.0), cap=cap), 1e5)


def test_own_weight_and_headroom() -> None:
    queries = Queries(np.full(2, 500.0), weight=np.array([1.0, 3.0]), headroom=np.array([300.0, np.nan]))
    found = Clear(headroom=100.0)(queries, 700)
    assert found.tokens.tolist() == [0, 600]  # the one that is worth three times as much is sated with 600
    assert found.utility.tolist() == pytest.approx([0.0, 3.0])
    assert found.headroom is None
    with pytest.raises(RequirementError, match="one concave shape"):
        Exact(headroom=100.0)(queries, 700)


def test_adaptive_headroom_by_hand() -> None:
    queries = Queries(np.array([100.0, 200, np.inf, np.nan]))
    assert queries.adaptive_headroom(200) == 50  # half of an equal share
    assert queries.adaptive_headroom(1000) == 350  # what is left when both are funded
    assert Clear()(queries, 1000).headroom == pytest.approx(350)
    assert Clear()(queries, 1000).tokens.tolist() == [450, 550, 0, 0]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fund_the_shortest_first(shape: str) -> None:
    threshold = np.sort(lognormal(40, 5))
    found = Clear(headroom=200.0, utility=shape)(Queries(threshold), 8e3)
    funded = found.tokens > 0
    assert 3 < funded.sum() < 40
    assert funded[: funded.sum()].all()


def test_baselines_by_hand() -> None:
    queries = Queries(np.array([300.0, 100, np.inf, np.nan]), cap=np.array([1e9, 150, 1e9, 1e9]))
    assert make("uniform")(queries, 700).tokens.tolist() == [233, 150, 233, 0]
    assert make("proportional")(queries, 480).tokens.tolist() == [360, 120, 0, 0]
    assert make("shortest-first", headroom=100.0)(queries, 500).tokens.tolist() == [0, 150, 0, 0]
    assert make("shortest-first", headroom=100.0)(queries, 550).tokens.tolist() == [400, 150, 0, 0]
    oracle = Oracle(need=np.array([310.2, 90, np.inf, 50]))(queries, 400)
    assert oracle.tokens.tolist() == [0, 90, 0, 50]


def test_posted_and_clock() -> None:
    queries = Queries(lognormal(50, 6))
    clear = Clear(headroom=200.0)(queries, 9e3)
    assert clear.price is not None
    same = Posted(price=clear.price, headroom=200.0)(queries, 9e3)
    assert same.price == pytest.approx(clear.price)
    assert same.utility.sum() == pytest.approx(clear.utility.sum(), rel=0.01)
    dear = Posted(price=clear.price * 2, headroom=200.0)(queries, 9e3)
    assert dear.unspent > 1000
    clock = make("clock", headroom=200.0)(queries, 9e3)
    assert clock.price is not None
    assert clear.price <= clock.price <= clear.price * 1.06
    assert clock.spent <= 9000


def test_whole_tokens() -> None:
    assert whole_tokens(np.array([1.5, 2.7, 3.8, 0.0]), 8).tolist() == [1, 3, 4, 0]
    assert whole_tokens(np.array([1.5, 2.7, 3.8]), 7.9).tolist() == [1, 2, 4]
    assert whole_tokens(np.array([0.5, 0.5]), 1).tolist() == [1, 0]
    assert whole_tokens(np.zeros(0), 5).tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Clear()(Queries(np.ones(2)), -1), "budget is -1"),
        (lambda: Clear()(Queries(np.ones(2)), np.nan), "budget is nan"),
        (
            lambda: Clear()(Queries(np.ones(2)), 1e30),
            "budget is 1e.30; it must be a number from 0 to 9.0072e.15, or inf",
        ),
        (lambda: Clear()(Queries(np.ones(2)), 1e19), "budget is 1e.19"),
        (lambda: Clear()(Queries(np.ones(2)), 9.3e18), "budget is 9.3e.18"),
        (lambda: Clear()(Queries(np.ones(2)), 10**5000), "budget is a number of more than 60 digits"),
        (lambda: Clear()(Queries(np.ones(2)), wrong("5")), "budget is '5'"),
        (lambda: Clear()(Queries(np.ones(2)), True), "budget is True"),
        (lambda: Clear(headroom=1e300)(Queries(np.ones(2)), 5), "headroom is 1e.300"),
        (lambda: Queries(np.array([1.0, 1e300])), "threshold must be 2 numbers up to 9.0.* query 1 has 1e.300"),
        (lambda: Queries(wrong([1, 10**400])), "threshold holds what is no number"),
        (lambda: Queries(wrong(["a"])), "threshold holds what is no number"),
        (lambda: Queries(np.ones(2), weight=np.array([1.0, 1e308])), "weight must be .* query 1 has 1e.308"),
        (lambda: Queries(np.ones(2), headroom=np.array([1e-300, 1])), "headroom must be .* query 0 has 1e-300"),
        (lambda: Queries(np.ones(2), cap=np.array([1e30, 1])), "cap must be .* query 0 has 1e.30"),
        (lambda: Clear(headroom=0.0)(Queries(np.ones(2)), 5), "headroom is 0"),
        (lambda: Posted()(Queries(np.ones(2)), 5), "needs a price"),
        (lambda: Oracle()(Queries(np.ones(2)), 5), "needs the true need"),
        (lambda: Queries(np.ones((2, 2))), "one number per query"),
        (
            lambda: Queries(np.ones(2), weight=np.array([1.0, -1])),
            "weight must be 2 numbers .* query 1 has -1",
        ),
        (lambda: Queries(np.ones(2), cap=np.ones(3)), "cap must be 2 numbers"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_an_unknown_shape_is_named() -> None:
    with pytest.raises(UnknownNameError, match="surge"):
        Clear(utility="surgee")(Queries(np.ones(2)), 5)
