"""Measured curves, clearing again, and the price as a signal to those who come later."""

import numpy as np
import pytest

from walras.errors import InputError
from walras.market.queries import Clear, Queries, Uniform
from walras.market.queries.admission import admits, expected_demand
from walras.market.queries.curves import Samples, allocate_by_curves
from walras.market.queries.reclearing import reclear

TOKENS = np.array([[100.0, 200, 300, 400], [100, 100, 500, 900]])
CORRECT = np.array([[True, False, True, True], [False, False, True, False]])
GRID = np.array([100.0, 300, 500])


def test_curves_by_hand() -> None:
    found = Samples(TOKENS, CORRECT).curves(GRID)
    assert found.tolist() == [[0.25, 0.5, 0.75], [0, 0, 0.25]]
    later = Samples(TOKENS, CORRECT).curves(GRID, np.array([250.0, 100]))
    assert later.tolist() == [
        [0.5, 1, 1],
        [0, 0, 0.5],
    ]  # two of each were longer
    assert Samples(TOKENS, CORRECT).curves(GRID, np.array([400.0, 900])).tolist() == [[0, 0, 0], [0, 0, 0]]
    with pytest.raises(InputError, match="valid: both"):
        Samples(TOKENS, CORRECT[:1])


def test_a_budget_by_curves() -> None:
    tokens, price = allocate_by_curves(Samples(TOKENS, CORRECT).curves(GRID), GRID, 500)
    assert tokens.tolist() == [500, 0]
    assert 0 <= price <= 0.25 / 100
    assert allocate_by_curves(np.zeros((0, 3)), GRID, 500)[0].tolist() == []


@pytest.mark.nightly
@pytest.mark.parametrize("rounds", [1, 2, 5, pytest.param(20, marks=pytest.mark.nightly)])
def test_rounds_never_use_more_than_the_budget(rounds: int) -> None:
    random = np.random.default_rng(0)
    tokens = random.integers(50, 800, (40, 10)).astype(float)
    samples, need = Samples(tokens, random.random((40, 10)) < 0.5), random.integers(50, 800, 40)
    spent = np.zeros(40, dtype=np.int64)

    def generate(who: np.ndarray, grant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        took = np.minimum(need[who] - spent[who], grant)
        spent[who] += took
        return took, spent[who] >= need[who]

    found = reclear(samples, np.arange(50.0, 801, 50), 8000, rounds, generate)
    assert (found.used == spent).all()
    assert found.used.sum() <= 8000
    assert (found.done == (spent >= need)).all()
    assert len(found.prices) <= rounds
    if rounds > 1:
        assert found.used.sum() > 6000  # what early answers left was used by others


@pytest.mark.parametrize(("budget", "rounds"), [(-1, 1), (np.inf, 1), (10, 0)])
def test_bad_rounds(budget: float, rounds: int) -> None:
    with pytest.raises(InputError):
        reclear(Samples(TOKENS, CORRECT), GRID, budget, rounds, lambda who, grant: (grant, who > 0))


def test_who_would_have_been_funded_is_admitted() -> None:
    threshold = np.random.default_rng(0).lognormal(6, 0.8, 400)
    batch = Clear(headroom=300.0)(Queries(threshold), 60_000)
    again = admits(batch, Queries(threshold))
    assert abs(int(again.sum()) - int((batch.tokens > 0).sum())) <= 1  # the marginal one may be rationed in
    later = Queries(np.array([50.0, 1e5, np.inf, np.nan]), weight=np.array([1.0, 1, 1, 1]))
    assert admits(batch, later).tolist() == [True, False, False, False]
    assert not admits(batch, Queries(np.array([50.0]), weight=np.array([1e-3]))).any()
    assert expected_demand(batch, Queries(threshold))["tokens"] == pytest.approx(60_000, rel=0.02)
    with pytest.raises(InputError, match="uniform has no price"):
        admits(Uniform()(Queries(threshold), 60_000), later)
