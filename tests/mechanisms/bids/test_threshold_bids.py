"""Surges and their variants against brute force, hand-computed figures and limiting cases."""

from math import e
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import lambertw
from scipy.stats import gamma
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import GammaBids, QuadraticSurgeBids, ShadowPrice, SurgeBids, TriangularBids
from walras.mechanisms.bids.threshold_bids import ThresholdBids
from walras.mechanisms.solvers.lambert import lambert_w
from walras.mechanisms.testing.bids_conformance import check_bids

SHAPES: list[Any] = [SurgeBids, TriangularBids, QuadraticSurgeBids, GammaBids]


def tensor(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_lambert_w_to_the_last_digits() -> None:
    z = torch.cat([torch.linspace(0, e, 50_001, dtype=torch.float64), torch.logspace(-300, 0, 500).double()])
    expected = lambertw(z.numpy(), 0).real
    np.testing.assert_allclose(lambert_w(z).numpy(), expected, rtol=1e-15, atol=0)
    np.testing.assert_allclose(lambert_w(z.float()).numpy(), expected, rtol=1e-6, atol=1e-40)
    assert lambert_w(z[:0]).shape == (0,)


@pytest.mark.parametrize("shape", SHAPES)
def test_conformance(shape: Any) -> None:
    bids = shape(tensor(1.0, 5, 100, 400, torch.inf, 50, 300), 2.0, tensor(1, 1, 2, 1, 1, 5, 0.3) / 100,
                 cap=tensor(1e9, 1e9, 1e9, 1e9, 1e9, 55, 100))  # fmt: skip
    assert [c for c in check_bids(bids, most=2000.0, points=1001) if not c.passed] == []
    assert bids.reservation_price()[[4, 6]].tolist() == [-torch.inf] * 2  # never solvent, and not within the cap


@pytest.mark.parametrize("shape", SHAPES)
def test_demand_is_that_of_brute_force(shape: Any) -> None:
    """2,000 queries, each at its own price, against 4,000 quantities each."""
    draw = torch.Generator().manual_seed(0)
    n = 2000

    def random(low: float, high: float) -> Tensor:
        return low * (high / low) ** torch.rand(n, dtype=torch.float64, generator=draw)

    cap = torch.where(torch.rand(n, generator=draw) < 0.3, random(50, 3000), torch.inf)
    bids = shape(random(1, 2000), random(0.1, 10), random(1e-3, 0.1), cap)
    price = torch.where(bids.solvent, bids.reservation_price(), 1.0) * random(0.05, 1.5)
    grid = torch.linspace(0, 1, 4_001, dtype=torch.float64)
    most = torch.minimum(bids.threshold + bids.satiation / bids.beta, cap)
    best = torch.full((n,), -torch.inf, dtype=torch.float64)
    for share in grid:
        headroom = bids.threshold + share * (most - bids.threshold).clamp(min=0)
        best = torch.maximum(best, bids.utility(headroom) - price * headroom)
    best = best.clamp(min=0)
    bought = bids.demand(price)
    surplus = bids.utility(bought) - price * bought
    torch.testing.assert_close(surplus, bids.surplus(price), rtol=1e-9, atol=1e-9)
    assert bool((surplus >= best - 1e-9 * bids.peak).all())
    assert bool((surplus <= best + 2e-3 * bids.peak).all())  # the grid is that fine
    assert 300 < int((bought > 0).sum()) < 1900


def test_surge_by_hand() -> None:
    bids = SurgeBids(tensor(500.0, 0), 2.0, 1 / 300)
    x = (-5 / 3 + np.sqrt(25 / 9 + 20 / 3)) / 2  # x^2 + (5/3) x - 5/3 = 0
    assert bids.reservation_price()[0].item() == pytest.approx(2 * (1 - x) * np.exp(-x), rel=1e-14)
    assert bids.reservation_price()[1].item() == 2.0  # a threshold of 0 makes it concave: no jump
    assert bids.demand(tensor(0.0, 0)).tolist() == pytest.approx([800.0, 300.0])
    w = lambertw(e * 0.1).real
    assert bids.demand(tensor(0.2, 0.2)).tolist() == pytest.approx([500 + 300 * (1 - w), 300 * (1 - w)], rel=1e-14)
    assert bids.demand(tensor(2.0, 2.5)).tolist() == [0, 0]
    assert bids.utility(tensor(800.0, 300)).tolist() == pytest.approx([600 / e] * 2)
    assert bids.utility(tensor(5000.0, 300))[0] == bids.peak  # too much is left unused
    assert bids.utility(tensor(500.0, 0)).tolist() == [0, 0]


def test_the_literal_surge_falls_beyond_its_peak() -> None:
    literal = SurgeBids(tensor(500.0), 2.0, 1 / 300, literal=True)
    assert literal.utility(tensor(1400.0)).item() == pytest.approx(2 * 900 * np.exp(-3))
    assert literal.demand(tensor(0.1)) == SurgeBids(tensor(500.0), 2.0, 1 / 300).demand(tensor(0.1))


def test_variants_by_hand() -> None:
    h, w = 2 * 300 / e, 300.0
    triangular = TriangularBids(tensor(500.0), 2.0, 1 / w)
    assert triangular.reservation_price().item() == pytest.approx(h / 800)
    assert triangular.demand(tensor(h / 801)).item() == pytest.approx(800)
    assert triangular.utility(tensor(650.0)).item() == pytest.approx(h / 2)
    quadratic = QuadraticSurgeBids(tensor(500.0), 2.0, 1 / w)
    q = 1 + 500 / w
    assert quadratic.reservation_price().item() == pytest.approx(2 * h / w * (q - np.sqrt(q * q - 1)), rel=1e-12)
    assert quadratic.demand(tensor(0.1)).item() == pytest.approx(500 + w * (1 - 0.1 / (2 * h / w)))
    chance = GammaBids(tensor(500.0), e / w, 1 / w)  # peak 1
    quantity = np.array([450.0, 500, 700, 1200, 4000])
    found = chance.utility(torch.tensor(quantity).unsqueeze(-1)).squeeze(-1).numpy()
    np.testing.assert_allclose(found, gamma.cdf(quantity - 500, 2, scale=w), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_marginal_utility_is_the_slope(shape: Any) -> None:
    bids = shape(tensor(500.0, 500, 500, 500, torch.inf, 500), 2.0, 1 / 300, tensor(1e9, 1e9, 1e9, 1e9, 1e9, 600))
    at = tensor(400.0, 550, 700, 790, 600, 650)
    numeric = (bids.utility(at + 1e-4) - bids.utility(at - 1e-4)) / 2e-4
    torch.testing.assert_close(bids.marginal_utility(at), numeric, rtol=1e-6, atol=1e-8)
    with torch.inference_mode():  # that of a replay, say
        own = shape(tensor(500.0, 500), 2.0, 1 / 300, tensor(1e9, 1e9))
        torch.testing.assert_close(own.marginal_utility(tensor(550.0, 700)), numeric[1:3], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-3, 2.0, 1e3])
def test_tokens_and_money_scale(shape: Any, scale: float) -> None:
    tau, supply = tensor(50.0, 200, 220, 400, 900, 1e4), 1500.0
    found = ShadowPrice()(shape(tau, 1.0, 0.01), supply)
    money = ShadowPrice()(shape(tau, scale, 0.01), supply)
    torch.testing.assert_close(money.quantity, found.quantity, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(money.price, found.price * scale, rtol=1e-9, atol=0)
    tokens = ShadowPrice()(shape(tau * scale, 1.0, 0.01 / scale), supply * scale)
    torch.testing.assert_close(tokens.quantity, found.quantity * scale, rtol=1e-9, atol=1e-9)


@pytest.mark.spread
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_of_all_sets_and_equal_shares(shape: Any, seed: int) -> None:
    """With a common concave shape: shortest first, the same headroom each (papers, 2.4)."""
    random = np.random.default_rng(seed)
    tau, beta = random.lognormal(5, 0.8, int(random.integers(1, 10))), 0.01
    supply = float(random.uniform(0.05, 1.05) * (tau + 100).sum())
    bids = shape(torch.tensor(tau), 1.0, beta)
    best = 0.0
    for k, total in enumerate(np.cumsum(np.sort(tau)), 1):
        for shared in range(1, k + 1) if shape is GammaBids else (k,):  # convex at first: some may get nothing above
            room = min((supply - total) / shared * beta, bids.satiation)
            if total <= supply:
                best = max(best, shared * float(bids.peak * bids.level(tensor(room))))
    found = bids.utility(ShadowPrice()(bids, supply).quantity).sum().item()
    assert found == pytest.approx(best, rel=1e-6 if shape is not GammaBids else 2e-2, abs=1e-12)


def test_one_price_for_all_is_one_number() -> None:
    bids = SurgeBids(tensor(50.0, 200, 400), 1.0, 0.01)
    torch.testing.assert_close(bids.demand(tensor(0.2)), bids.demand(tensor(0.2, 0.2, 0.2)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": tensor(1.0, -2)}, "threshold holds -2"),
        ({"threshold": tensor(1.0, torch.nan)}, "threshold holds nan"),
        ({"threshold": torch.tensor(1.0)}, "a scalar was given"),
        ({"alpha": 0.0}, "alpha holds 0"),
        ({"beta": torch.inf}, "beta holds inf"),
        ({"beta": tensor(1.0, 2, 3)}, "beta has shape"),
        ({"cap": -1.0}, "cap holds -1"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"threshold": tensor(1.0, 2), **change}
    with pytest.raises(InputError, match=message):
        SurgeBids(**given)
    assert issubclass(SurgeBids, ThresholdBids)
