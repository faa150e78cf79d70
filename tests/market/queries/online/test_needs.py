"""What classes of queries need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import truncnorm

from walras.errors import InputError
from walras.market.queries.online.needs import Needs, _moments


def learned(needs: np.ndarray, grant: float, **prior: float) -> Needs:
    found = Needs(**prior)
    for need in needs:
        found = found.seen(min(need, grant), 100.0, cut=need > grant)
    return found


def test_two_observations_by_hand() -> None:
    """Murphy 2007, equations 86 to 89, with x = ln 2 and then ln 4 over a guess of 100."""
    found = Needs(0.0, 1.0, 2.0, 1.0).seen(200.0, 100.0).seen(400.0, 100.0)
    x = np.log([2.0, 4.0])
    assert found.mean == pytest.approx(x.sum() / 3)
    assert (found.weight, found.shape) == (3.0, 3.0)
    assert found.scale == pytest.approx(1 + ((x - x.mean()) ** 2).sum() / 2 + 2 * x.mean() ** 2 / (2 * 3))


@pytest.mark.parametrize("seed", range(3))
def test_what_was_cut_off_is_not_taken_for_a_small_need(seed: int) -> None:
    """Needs around 300 with grants of 300: half is cut off. Counting those as needs would say about 210."""
    needs = np.random.default_rng(seed).lognormal(np.log(300), 0.7, 3000)
    found = learned(needs, 300.0)
    assert found.threshold(100.0) == pytest.approx(300, rel=0.12)
    assert found.spread == pytest.approx(0.7, rel=0.2)
    naive = Needs()
    for need in needs:
        naive = naive.seen(min(need, 300.0), 100.0)
    assert naive.threshold(100.0) < 240


def test_quantiles_hold_what_they_say() -> None:
    needs = np.random.default_rng(5).lognormal(6, 0.5, 4000)
    found = learned(needs[:2000], np.inf)
    for quantile in (0.2, 0.5, 0.9):
        assert (needs[2000:] <= found.threshold(100.0, quantile)).mean() == pytest.approx(quantile, abs=0.04)


@given(st.floats(-5, 5), st.floats(-2, 2), st.floats(0.1, 2))
def test_moments_beyond_a_point_are_those_of_scipy(point: float, mean: float, spread: float) -> None:
    first, second = _moments(point, mean, spread)
    at = (point - mean) / spread
    if at < 8:
        known = truncnorm(at, np.inf, loc=mean, scale=spread)
        assert first == pytest.approx(known.mean(), rel=1e-5, abs=1e-5)
        assert second == pytest.approx(known.var(), rel=1e-3, abs=1e-4)
    assert first >= point


def test_what_is_forgotten_leaves_the_estimate() -> None:
    found = learned(np.random.default_rng(0).lognormal(6, 0.5, 500), np.inf)
    short = found.forgetting(50)
    assert short.weight == 50
    assert short.threshold(100.0) == pytest.approx(found.threshold(100.0), rel=0.02)
    assert short.spread == pytest.approx(found.spread, rel=0.02)
    assert found.forgetting(1e9) is found


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.booleans())
def test_whatever_is_seen_leaves_a_posterior(used: float, guess: float, cut: bool) -> None:
    found = Needs().seen(used, guess, cut)
    assert 0 <= found.threshold(1.0) < float("inf")


@pytest.mark.parametrize("bad", [{"weight": 0}, {"shape": 1}, {"scale": -1}, {"mean": float("nan")}])
def test_bad_input(bad: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Needs(**bad)
