"""Demand that jumps: surge utilities, held against the exact optimum of their structure theorem."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import lambertw
from torch import Tensor

from walras.mechanisms import PostedPrice, ShadowPrice
from walras.mechanisms.bids_conformance import check_bids
from walras.mechanisms.traits import SEPARABLE

ALPHA = 2.0


@dataclass(frozen=True)
class SurgeBids:
    """utility(b) = alpha (b - tau) exp(-beta (b - tau)) above the threshold tau, held at its peak beyond it.

    Demand at a price p below alpha is tau + x / beta with x = 1 - W(e p / alpha), and 0 above the reservation
    price alpha (1 - x) exp(-x), where x^2 = (1 - x) beta tau.
    """

    tau: Tensor
    beta: float = 0.01
    alpha: float = ALPHA

    @property
    def traits(self) -> frozenset[str]:
        return frozenset({SEPARABLE})

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        ratio = (price / self.alpha).clamp(0, 1).detach()
        headroom = 1 - torch.from_numpy(lambertw(np.e * ratio.double().numpy(), 0).real).to(price.dtype)
        buys = price <= self.reservation_price()
        if stay is not None:
            buys = buys | (stay & (price < torch.inf))
        return torch.where(buys, self.tau + headroom / self.beta, 0.0)

    def utility(self, quantity: Tensor) -> Tensor:
        above = (quantity - self.tau).clamp(0, 1 / self.beta)
        return self.alpha * above * torch.exp(-self.beta * above)

    def reservation_price(self) -> Tensor:
        a = self.beta * self.tau
        x = torch.where(a > 0, 2 * a / (a + (a.square() + 4 * a).sqrt()), 0.0)
        return self.alpha * (1 - x) * torch.exp(-x)


def exact(tau: np.ndarray, supply: float, beta: float) -> float:
    """max F(k), F(k) the utility of the k smallest thresholds with an equal share of what is left."""
    totals = np.cumsum(np.sort(tau))
    best = 0.0
    for k, total in enumerate(totals, 1):
        if total <= supply:
            share = min((supply - total) / k, 1 / beta)
            best = max(best, k * ALPHA * share * np.exp(-beta * share))
    return best


def welfare(tau: np.ndarray, supply: float, beta: float, cost: float = 1.0) -> float:
    bids = SurgeBids(torch.tensor(tau), beta)
    clearing = ShadowPrice()(bids, supply * cost, [cost] * len(tau))
    utility = bids.utility(clearing.quantity)
    assert bool((clearing.payment <= utility).all())
    assert clearing.price.item() >= 0
    return utility.sum().item()


def test_these_bids_are_what_they_say() -> None:
    bids = SurgeBids(torch.tensor([5.0, 100.0, 400.0], dtype=torch.float64))
    assert [c for c in check_bids(bids, most=600.0, points=2401) if not c.passed] == []


@pytest.mark.parametrize("seed", range(60))
def test_exact_with_a_common_shape(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, beta = int(random.choice([1, 2, 3, 5, 20, 100])), float(random.choice([1e-3, 1e-2, 0.1]))
    tau = random.lognormal(5, 0.8, n)
    if seed % 5 == 0:
        tau = np.full(n, tau[0])
    supply = float(random.uniform(0.02, 1.1) * (tau + 1 / beta).sum())
    best = exact(tau, supply, beta)
    for cost in (1.0, 0.3, 7.0):
        assert welfare(tau, supply, beta, cost) == pytest.approx(best, rel=1e-9, abs=1e-12)


def test_all_equal_thresholds_fund_as_many_as_is_best() -> None:
    # All flip at one price: the bare price funds nobody, the optimum four (papers, 2.7: B=2600, tau=500, 1/beta=300).
    tau, beta = np.full(10, 500.0), 1 / 300
    assert welfare(tau, 2600.0, beta) == pytest.approx(exact(tau, 2600.0, beta), rel=1e-12)
    clearing = ShadowPrice()(SurgeBids(torch.tensor(tau), beta), 2600.0)
    assert (clearing.quantity > 0).tolist() == [True] * 4 + [False] * 6
    torch.testing.assert_close(clearing.quantity[:4], torch.full((4,), 650.0, dtype=torch.float64))
    assert clearing.word == "rationed"


def test_one_agent_takes_what_there_is() -> None:
    tau, beta = np.array([100.0]), 0.01
    for supply in (99.0, 100.0, 101.0, 130.0, 199.0, 200.0, 500.0):
        assert welfare(tau, supply, beta) == pytest.approx(exact(tau, supply, beta), abs=1e-9)
    clearing = ShadowPrice()(SurgeBids(torch.tensor(tau), beta), 130.0)  # less than the least it would buy at a price
    assert clearing.quantity.item() == pytest.approx(130.0)
    assert ShadowPrice()(SurgeBids(torch.tensor(tau), beta), 99.0).word == "infeasible"
    assert ShadowPrice()(SurgeBids(torch.tensor(tau), beta), 500.0).word == "slack"


def test_what_the_next_cannot_use_goes_to_the_members() -> None:
    """The second threshold is out of reach, so the first is served to its peak; the price alone stops short of it."""
    tau = np.array([10.0, 1000.0])
    clearing = ShadowPrice()(SurgeBids(torch.tensor(tau), 0.02), 100.0)
    assert clearing.quantity.tolist() == pytest.approx([60.0, 0.0])
    assert welfare(tau, 100.0, 0.02) == pytest.approx(exact(tau, 100.0, 0.02), rel=1e-12)


def test_a_batch_is_rationed_row_by_row() -> None:
    random = torch.Generator().manual_seed(0)
    tau = torch.empty(6, 9, dtype=torch.float64).log_normal_(5, 0.8, generator=random)
    tau[2] = 200.0
    supply = (tau + 100).sum(-1, keepdim=True) * torch.tensor([[0.05], [0.2], [0.4], [0.6], [0.9], [1.2]])
    together = ShadowPrice()(SurgeBids(tau), supply)
    for row in range(6):
        alone = ShadowPrice()(SurgeBids(tau[row]), supply[row])
        torch.testing.assert_close(together.quantity[row], alone.quantity)
        torch.testing.assert_close(together.price[row], alone.price)
        assert together.status[row] == alone.status
    assert len(set(together.status.tolist())) > 1


def test_a_posted_price_rations_jumps_too() -> None:
    tau, beta = np.full(10, 500.0), 1 / 300
    bids = SurgeBids(torch.tensor(tau), beta)
    clearing = PostedPrice(price=0.1)(bids, 2600.0)
    assert clearing.word == "rationed"
    assert bids.utility(clearing.quantity).sum().item() == pytest.approx(exact(tau, 2600.0, beta), rel=1e-12)
    assert bool((clearing.payment <= bids.utility(clearing.quantity)).all())
