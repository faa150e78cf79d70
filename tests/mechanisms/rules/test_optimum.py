"""Against the exact optimum of the knapsack, by scipy's mixed-integer solver."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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
    assert torch.equal(shadow.price, auction.price)
    assert bool((shadow.quantity >= auction.quantity).all())  # the auction lets nobody overtake
    assert shadow.quantity.tolist() == one_by_one(value, cost, supply)
    dear = torch.tensor(value / cost) < shadow.price
    posted = PostedPrice(price=shadow.price.item())(bids, supply, costs)
    assert torch.equal(posted.quantity, torch.where(dear, 0, shadow.quantity))
    # The relaxation's bound, by hand: what the price and the surplus at it are worth covers the optimum.
    surplus = (torch.tensor(value) - shadow.price * costs).clamp(min=0).sum()
    assert best <= (surplus + shadow.price * supply).item() + 1e-9


def one_by_one(value: np.ndarray, cost: np.ndarray, supply: float) -> list[float]:
    """Served in the order of value per cost, whoever fits into what is left; of no value, only while all do."""
    served, all_fit = [0.0] * len(cost), True
    for agent in np.argsort(-value / cost, kind="stable"):
        all_fit = all_fit and bool(cost[agent] <= supply)
        if cost[agent] <= supply and (all_fit or value[agent] > 0):
            served[agent], supply = 1.0, supply - cost[agent]
    return served


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), min_size=1, max_size=12), st.integers(0, 60))
def test_who_still_fits_is_served_and_welfare_rises_with_the_supply(agents: list[tuple[int, int]], supply: int) -> None:
    value, cost = (torch.tensor(column, dtype=torch.float64) for column in zip(*agents, strict=True))
    bids = IndivisibleBids(value.expand(supply + 1, -1))  # a batch, each market with a supply of its own
    supplies = torch.arange(supply + 1, dtype=torch.float64).unsqueeze(-1)
    sold = ShadowPrice()(bids, supplies, cost.unsqueeze(-1))
    welfare = (sold.quantity * value).sum(-1)
    assert bool((welfare.diff() >= 0).all())
    assert bool((sold.price.squeeze(-1).diff() <= 0).all())
    for row in range(supply + 1):
        assert sold.quantity[row].tolist() == one_by_one(value.numpy(), cost.numpy(), row)


def test_the_bound_is_not_idle() -> None:
    """The best by value per cost can stand in the way of one that is worth more."""
    value, cost = np.array([2.0, 9.0, 1.0]), np.array([1.0, 9.0, 1.5])
    shadow = ShadowPrice()(IndivisibleBids(torch.tensor(value)), 9.0, torch.tensor(cost))
    assert shadow.quantity.tolist() == [1, 0, 1]
    assert optimum(value, cost, 9.0) == 9.0


def test_short_runs_are_served_as_long_ones_are() -> None:
    """Small and large costs in turn: every run is one agent long, and rows end after different numbers of them."""
    n = 400
    cost = torch.ones(2, n, dtype=torch.float64)
    cost[0, 1::2] = 1000 - torch.arange(n // 2, dtype=torch.float64)
    cost[1] = cost[0].flip(0)
    value = cost * torch.linspace(2, 1, n, dtype=torch.float64)
    sold = ShadowPrice()(IndivisibleBids(value), torch.tensor([[1000.0], [2500.0]]).double(), cost.unsqueeze(-1))
    for row, supply in enumerate((1000.0, 2500.0)):
        assert sold.quantity[row].tolist() == one_by_one(value[row].numpy(), cost[row].numpy(), supply)
    assert int(sold.quantity[0].sum()) > 100
