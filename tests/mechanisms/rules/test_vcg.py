"""The Clarke pivot by hand and by search, and that payments which invite lies are told from those that do not."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, LinearConstraint, milp

from walras.errors import InputError, RequirementError
from walras.mechanisms import (
    VCG,
    Budgeted,
    EntropicBids,
    IndivisibleBids,
    Mechanism,
    PayAsBidAuction,
    QuadraticBids,
    ShadowPrice,
    SurgeBids,
    UniformPriceAuction,
)
from walras.mechanisms.rules.vcg import EXACT, GREEDY
from walras.mechanisms.solvers.winners import critical_payments, exact_winners
from walras.mechanisms.testing.conformance import check_mechanism
from walras.mechanisms.traits import EFFICIENT, SUPPLY_MONOTONE

DOUBLE = torch.float64


def test_vickreys_second_price() -> None:
    clearing = VCG()(IndivisibleBids(torch.tensor([3.0, 7.0, 5.0])), 1.0)
    assert clearing.quantity.tolist() == [0, 1, 0]
    assert clearing.payment.tolist() == [0, 5, 0]
    assert clearing.method == EXACT


def test_a_knapsack_by_hand() -> None:
    """Supply 4. Best: 9 + 6 with sizes 3 and 1. Without the first: 6 + 7 of sizes 1 and 3; without the second: 9."""
    clearing = VCG()(IndivisibleBids(torch.tensor([9.0, 6.0, 7.0])), 4.0, [3.0, 1.0, 3.0])
    assert clearing.quantity.tolist() == [1, 1, 0]
    assert clearing.payment.tolist() == [13 - 6, 0, 0]
    assert clearing.residual.tolist() == [0]


def test_of_two_resources() -> None:
    """One big bidder that needs all of both keeps out two small ones that need one each."""
    cost = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert VCG()(IndivisibleBids(torch.tensor([10.0, 4.0, 3.0])), [1.0, 1.0], cost).payment.tolist() == [7, 0, 0]
    small = VCG()(IndivisibleBids(torch.tensor([6.0, 4.0, 3.0])), [1.0, 1.0], cost)
    assert small.quantity.tolist() == [0, 1, 1]
    assert small.payment.tolist() == [0, 3, 2]


def test_two_quadratic_bidders_by_hand() -> None:
    """u = q z - q^2 / 2, z = 3 and 2, one unit: q = 1 and 0. Alone the second would have 2 - 1/2 = 3/2."""
    clearing = VCG()(QuadraticBids(torch.tensor([3.0, 2.0])), 1.0)
    torch.testing.assert_close(clearing.quantity, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(clearing.payment, torch.tensor([1.5, 0.0]))
    shared = VCG()(
        QuadraticBids(torch.tensor([2.0, 2.0])), 1.0
    )  # 1/2 each; the other has 7/8 of the 3/2 that it would have alone
    torch.testing.assert_close(shared.payment, torch.tensor([0.625, 0.625]))


def test_a_reserve_is_paid_on_top_and_keeps_out() -> None:
    clearing = VCG(price_floor=4.0)(IndivisibleBids(torch.tensor([3.0, 7.0, 5.0])), 2.0)
    assert clearing.quantity.tolist() == [0, 1, 1]
    assert clearing.payment.tolist() == [0, 4, 4]
    tight = VCG(price_floor=1.0)(QuadraticBids(torch.tensor([3.0, 2.0])), 1.0)
    torch.testing.assert_close(tight.payment, torch.tensor([1.0 + 0.5, 0.0]))  # the second's best at 1: 1 - 1/2


def deviations(value: torch.Tensor, agent: int, cost: torch.Tensor) -> torch.Tensor:
    """Reports [d, n]: the agent's takes values beside those at which the order of rates, or who is pivotal, changes."""
    others = torch.cat([value * cost[agent] / cost, value.sum() - value[agent : agent + 1]])
    tried = torch.cat([others * (1 - 1e-6), others * (1 + 1e-6), torch.tensor([0.0, 9.0], dtype=DOUBLE)])
    reports = value.repeat(len(tried), 1)
    reports[:, agent] = tried
    return reports


def gains(rule: Mechanism, instances: int) -> float:
    """The largest gain that any single bidder has from any of its false reports in random small markets."""
    largest, generator = -torch.inf, torch.Generator().manual_seed(0)
    for _ in range(instances):
        n = int(torch.randint(2, 5, (1,), generator=generator))
        value, cost = (torch.rand(n, generator=generator, dtype=DOUBLE) + 0.05 for _ in range(2))
        supply = float(cost.sum() * (0.3 + 0.4 * torch.rand(1, generator=generator, dtype=DOUBLE)))
        honest = rule(IndivisibleBids(value), supply, cost)
        earned = value * honest.quantity - honest.payment
        for agent in range(n):
            lied = rule(IndivisibleBids(deviations(value, agent, cost)), supply, cost)
            gain = value[agent] * lied.quantity[:, agent] - lied.payment[:, agent] - earned[agent]
            largest = max(largest, float(gain.max()))
    return largest


@pytest.mark.nightly
@pytest.mark.parametrize("rule", [VCG(), VCG(exact=0), UniformPriceAuction()], ids=["exact", "critical", "uniform"])
def test_no_lie_pays_in_a_thousand_markets(rule: Mechanism) -> None:
    assert gains(rule, 1000) <= 1e-12


@pytest.mark.nightly
def test_lies_pay_where_one_pays_ones_bid() -> None:
    """So the search is able to find them."""
    assert gains(PayAsBidAuction(), 100) > 0.1


@pytest.mark.parametrize("seed", range(20))
def test_winners_are_the_best_set(seed: int) -> None:
    """Beyond the number of bids of which all sets are tried, with two resources, against scipy called plainly."""
    random = np.random.default_rng(seed)
    value, cost = random.gamma(1.0, size=24), random.uniform(0.1, 1.0, (24, 2))
    supply = cost.sum(0) * random.uniform(0.1, 0.9, 2)
    wins = exact_winners(value, cost, supply)
    solver: Any = milp  # its types ask for more than it does
    best = solver(-value, integrality=np.ones(24), bounds=Bounds(0, 1), constraints=LinearConstraint(cost.T, ub=supply),
                options={"mip_rel_gap": 0.0})  # fmt: skip
    assert value[wins].sum() == pytest.approx(-best.fun, abs=1e-9)
    assert (cost[wins].sum(0) <= supply).all()


def test_a_choice_that_fits_but_for_the_solvers_rounding_is_not_taken() -> None:
    """Eleven units of 1/11 and a little more: the solver would take all, its rows may slip by a millionth."""
    cost = np.full((12, 1), 1 / 11 + 1e-9)
    wins = exact_winners(np.ones(12), cost, np.array([1.0]))
    assert wins.sum() == 10


@pytest.mark.parametrize("seed", range(20))
def test_critical_payments_are_the_lowest_bids_that_win(seed: int) -> None:
    random = np.random.default_rng(seed)
    value, cost = random.gamma(1.0, size=30), random.uniform(0.1, 1.0, (30, 1 + seed % 2))
    supply = cost.sum(0) * random.uniform(0.1, 0.9)
    wins, payment = critical_payments(value, cost, supply)
    for i in np.flatnonzero(wins):
        for bid, expected in ((payment[i] * (1 + 1e-9) + 1e-12, True), (payment[i] * (1 - 1e-9) - 1e-12, False)):
            reports = np.where(np.arange(30) == i, bid, value)
            assert critical_payments(reports, cost, supply)[0][i] == expected or (bid <= 0 and not expected)
    assert (payment[~wins] == 0).all()


@pytest.mark.nightly
def test_beyond_so_many_bidders_winners_are_greedy_and_it_says_so() -> None:
    value = torch.rand(40, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    bids, cost = IndivisibleBids(value), torch.rand(40, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    exact, greedy = VCG()(bids, 6.0, cost), VCG(exact=39)(bids, 6.0, cost)
    assert (exact.method, greedy.method) == (EXACT, GREEDY)
    lost = (bids.utility(exact.quantity) - bids.utility(greedy.quantity)).sum().item()
    assert 0 <= lost < value.max()
    assert greedy.revenue <= ShadowPrice()(bids, 6.0, cost).revenue * 2
    assert {c.name for c in check_mechanism(VCG(exact=0), instances=8) if not c.passed} <= {EFFICIENT, SUPPLY_MONOTONE}


def test_revenue_of_clarkes_pivot_is_never_negative_nor_above_value() -> None:
    for cost in itertools.product([0.3, 1.0], repeat=3):
        clearing = VCG()(EntropicBids(torch.tensor([1.0, 2.0, 0.5])), 1.0, list(cost))
        assert (clearing.payment >= 0).all()


def test_who_is_refused() -> None:
    chained = IndivisibleBids(torch.ones(2), before=torch.tensor([-1, 0]))
    with pytest.raises(RequirementError, match="VCG requires bids that are separable"):
        VCG()(chained, 1.0)
    with pytest.raises(RequirementError, match="VCG refuses bids that are budgeted"):
        VCG()(Budgeted(IndivisibleBids(torch.tensor([1.0])), torch.ones(1)), 1.0)
    with pytest.raises(RequirementError, match="VCG requires bids that are concave or indivisible or menus; SurgeBids"):
        VCG()(SurgeBids(torch.ones(2), 0.5, 0.5), 1.0)
    with pytest.raises(InputError, match="price_floor is -inf"):
        VCG(price_floor=-torch.inf)
    with pytest.raises(InputError, match="exact is -1"):
        VCG(exact=-1)
