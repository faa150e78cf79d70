"""Demand that jumps: surge utilities, held against the exact optimum of their structure theorem."""

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, LinearConstraint, milp

from walras.mechanisms import PostedPrice, ShadowPrice, SurgeBids

ALPHA = 2.0


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
    bids = SurgeBids(torch.tensor(tau), ALPHA, beta)
    clearing = ShadowPrice()(bids, supply * cost, [cost] * len(tau))
    utility = bids.utility(clearing.quantity)
    assert bool((clearing.payment <= utility).all())
    assert clearing.price.item() >= 0
    return utility.sum().item()


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
    clearing = ShadowPrice()(SurgeBids(torch.tensor(tau), ALPHA, beta), 2600.0)
    assert (clearing.quantity > 0).tolist() == [True] * 4 + [False] * 6
    torch.testing.assert_close(clearing.quantity[:4], torch.full((4,), 650.0, dtype=torch.float64))
    assert clearing.word == "rationed"


def test_one_agent_takes_what_there_is() -> None:
    tau, beta = np.array([100.0]), 0.01
    for supply in (99.0, 100.0, 101.0, 130.0, 199.0, 200.0, 500.0):
        assert welfare(tau, supply, beta) == pytest.approx(exact(tau, supply, beta), abs=1e-9)
    clearing = ShadowPrice()(
        SurgeBids(torch.tensor(tau), ALPHA, beta), 130.0
    )  # less than the least it would buy at a price
    assert clearing.quantity.item() == pytest.approx(130.0)
    assert ShadowPrice()(SurgeBids(torch.tensor(tau), ALPHA, beta), 99.0).word == "infeasible"
    assert ShadowPrice()(SurgeBids(torch.tensor(tau), ALPHA, beta), 500.0).word == "slack"


def test_what_the_next_cannot_use_goes_to_the_members() -> None:
    """The second threshold is out of reach, so the first is served to its peak; the price alone stops short of it."""
    tau = np.array([10.0, 1000.0])
    clearing = ShadowPrice()(SurgeBids(torch.tensor(tau), ALPHA, 0.02), 100.0)
    assert clearing.quantity.tolist() == pytest.approx([60.0, 0.0])
    assert welfare(tau, 100.0, 0.02) == pytest.approx(exact(tau, 100.0, 0.02), rel=1e-12)


def test_a_batch_is_rationed_row_by_row() -> None:
    random = torch.Generator().manual_seed(0)
    tau = torch.empty(6, 9, dtype=torch.float64).log_normal_(5, 0.8, generator=random)
    tau[2] = 200.0
    supply = (tau + 100).sum(-1, keepdim=True) * torch.tensor([[0.05], [0.2], [0.4], [0.6], [0.9], [1.2]])
    together = ShadowPrice()(SurgeBids(tau, ALPHA, 0.01), supply)
    for row in range(6):
        alone = ShadowPrice()(SurgeBids(tau[row], ALPHA, 0.01), supply[row])
        torch.testing.assert_close(together.quantity[row], alone.quantity)
        torch.testing.assert_close(together.price[row], alone.price)
        assert together.status[row] == alone.status
    assert len(set(together.status.tolist())) > 1


def test_a_posted_price_rations_jumps_too() -> None:
    tau, beta = np.full(10, 500.0), 1 / 300
    bids = SurgeBids(torch.tensor(tau), ALPHA, beta)
    clearing = PostedPrice(price=0.1)(bids, 2600.0)
    assert clearing.word == "rationed"
    assert bids.utility(clearing.quantity).sum().item() == pytest.approx(exact(tau, 2600.0, beta), rel=1e-12)
    assert bool((clearing.payment <= bids.utility(clearing.quantity)).all())


def by_pieces(tau: np.ndarray, alpha: np.ndarray, beta: np.ndarray, supply: float, pieces: int = 60) -> float:
    """The optimum of a mixed integer program in which every surge is a line in so many pieces (a lower bound)."""
    n, x = len(tau), np.linspace(0, 1, pieces + 1)
    gain = (alpha / (np.e * beta))[:, None] * np.diff(x * np.exp(1 - x))
    used = np.concatenate([tau, np.repeat(1 / beta / pieces, pieces)])
    funded = np.hstack([-np.kron(np.eye(n), np.ones((pieces, 1))), np.eye(n * pieces)])
    found = milp(
        np.concatenate([np.zeros(n), -gain.ravel()]),
        constraints=[LinearConstraint(used[None], -np.inf, supply), LinearConstraint(funded, -np.inf, 0)],
        integrality=np.repeat([1, 0], [n, n * pieces]),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-5, "time_limit": 20},
    )
    assert found.fun is not None
    return -float(found.fun)


@pytest.mark.spread
@pytest.mark.parametrize("seed", range(12))
def test_shapes_that_differ_against_a_mixed_integer_program(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = (5, 10, 30)[seed % 3]
    tau, alpha = random.lognormal(5, 0.8, n), random.uniform(0.3, 3, n)
    beta = np.exp(random.uniform(np.log(0.003), np.log(0.05), n))
    supply = float(random.uniform(0.05, 0.95) * (tau + 1 / beta).sum())
    bids = SurgeBids(torch.tensor(tau), torch.tensor(alpha), torch.tensor(beta))
    found = bids.utility(ShadowPrice()(bids, supply).quantity).sum().item()
    best = by_pieces(tau, alpha, beta, supply)
    assert found >= best * (1 - 0.015)
    assert found >= best * (1 - 1e-4) or n > 8  # all sets of few agents are tried


def test_without_rationing_the_price_leaves_supply_unsold() -> None:
    bids = SurgeBids(torch.full((10,), 500.0, dtype=torch.float64), ALPHA, 1 / 300)
    plain = ShadowPrice(rationed=False)(bids, 2600.0)
    assert plain.quantity.tolist() == [0.0] * 10
    assert plain.residual.item() == -2600
    many, unsold = SurgeBids(torch.linspace(100, 900, 20, dtype=torch.float64), ALPHA, 1 / 300), []
    for supply in range(1000, 9000, 500):
        plain, full = ShadowPrice(rationed=False)(many, supply), ShadowPrice()(many, supply)
        assert plain.price == full.price
        assert many.utility(plain.quantity).sum() <= many.utility(full.quantity).sum() + 1e-9
        assert full.residual.item() == pytest.approx(0.0, abs=1e-6)
        unsold.append(-plain.residual.item())
    assert min(unsold) >= -1e-6
    assert max(unsold) > 100
