"""Against the exact optimum of the knapsack, by scipy's mixed-integer solver."""

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, LinearConstraint, milp

from walras.mechanisms import IndivisibleBids, PostedPrice, ShadowPrice, UniformPriceAuction


def optimum(value: np.ndarray, cost: np.ndarray, supply: float) -> float:
    """The most that any choice within the supply is worth."""
    exact = milp(
        -value, integrality=np.ones_like(value), bounds=Bounds(0, 1), constraints=LinearConstraint(cost, ub=supply)
    )
    assert exact.success
    return float(-exact.fun)


@pytest.mark.parametrize("instance", range(300))
def test_within_one_agent_of_the_exact_optimum(instance: int) -> None:
    random = np.random.default_rng(instance)
    n = int(random.integers(1, 30))
    value, cost = random.gamma(1.0, size=n), random.uniform(0.1, 1.0, n)
    if instance % 3 == 0:  # as with heads and FFN blocks: few distinct costs
        cost = random.choice([0.25, 1.0], n)
    supply = float(random.uniform(0, 1.1) * cost.sum())
    bids, costs = IndivisibleBids(torch.tensor(value)), torch.tensor(cost)
    shadow, auction = ShadowPrice()(bids, supply, costs), UniformPriceAuction()(bids, supply, costs)
    best = optimum(value, cost, supply)
    welfare = bids.utility(shadow.quantity).sum().item()
    assert best - value.max() - 1e-9 <= welfare <= best + 1e-9
    assert torch.equal(shadow.quantity, auction.quantity)
    assert torch.equal(shadow.price, auction.price)
    assert torch.equal(shadow.status, auction.status)
    torch.testing.assert_close(shadow.payment, auction.payment)
    posted = PostedPrice(price=shadow.price.item())(bids, supply, costs)
    assert torch.equal(posted.quantity, shadow.quantity)
    # The relaxation's bound, by hand: what the price and the surplus at it are worth covers the optimum.
    surplus = (torch.tensor(value) - shadow.price * costs).clamp(min=0).sum()
    assert best <= (surplus + shadow.price * supply).item() + 1e-9


def test_a_solver_that_may_skip_can_do_better() -> None:
    """The bound is not idle: the longest prefix stops at an agent that does not fit."""
    value, cost = np.array([2.0, 9.0, 1.0]), np.array([1.0, 9.0, 1.5])
    shadow = ShadowPrice()(IndivisibleBids(torch.tensor(value)), 9.0, torch.tensor(cost))
    assert shadow.quantity.tolist() == [1, 0, 0]
    assert optimum(value, cost, 9.0) == 9.0
