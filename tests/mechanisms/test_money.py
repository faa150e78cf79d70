"""Agents with money: budgets, proportional shares, and the equilibrium of a Fisher market."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from walras.errors import InputError, RequirementError
from walras.mechanisms import (
    Budgeted,
    CompetitiveEquilibrium,
    EntropicBids,
    IndivisibleBids,
    LogisticBids,
    PayAsBidAuction,
    ProportionalShare,
    QuadraticBids,
    ShadowPrice,
    Status,
    SurgeBids,
)
from walras.mechanisms.testing.bids_conformance import check_bids

DOUBLE = torch.float64


def endowed(n: int, seed: int = 0) -> Budgeted:
    generator = torch.Generator().manual_seed(seed)
    return Budgeted(
        EntropicBids(20 + torch.rand(n, generator=generator, dtype=DOUBLE)),
        torch.rand(n, generator=generator, dtype=DOUBLE) + 0.1,
    )


@pytest.mark.spread
@pytest.mark.parametrize(
    "bids",
    [
        QuadraticBids(torch.tensor([1.0, 2.0, 0.5])),
        EntropicBids(torch.tensor([1.0, 0.2])),
        IndivisibleBids(torch.tensor([1.0, 0.4])),
    ],
)
@pytest.mark.parametrize("money", [0.05, 0.5, 50.0])
def test_budgets_keep_what_bids_must(bids: QuadraticBids, money: float) -> None:
    assert [c for c in check_bids(Budgeted(bids, torch.tensor(money))) if not c.passed] == []


def test_what_money_buys() -> None:
    bids = Budgeted(QuadraticBids(torch.tensor([4.0, 4.0, 4.0])), torch.tensor([1.0, 100.0, 0.0]))
    assert bids.demand(torch.full((3,), 2.0)).tolist() == [0.5, 2.0, 0.0]  # 1 / 2; 4 - 2; nothing
    whole = Budgeted(IndivisibleBids(torch.tensor([4.0, 4.0])), torch.tensor([1.0, 5.0]))
    assert whole.reservation_price().tolist() == [1.0, 4.0]
    assert ShadowPrice()(whole, 1.0).quantity.tolist() == [0.0, 1.0]
    with pytest.raises(InputError, match=r"money holds -1\.0"):
        Budgeted(QuadraticBids(torch.tensor([1.0])), torch.tensor([-1.0]))
    with pytest.raises(InputError, match="money has shape"):
        Budgeted(QuadraticBids(torch.tensor([1.0, 1.0])), torch.ones(3))
    with pytest.raises(InputError, match="budgets bind bids that are concave or indivisible"):
        Budgeted(SurgeBids(torch.ones(2), 0.5, 0.5), torch.ones(2))
    with pytest.raises(RequirementError, match="PayAsBidAuction refuses bids that are budgeted"):
        PayAsBidAuction()(whole, 1.0)


def test_shares_are_those_of_money_whatever_the_cost() -> None:
    bids = Budgeted(EntropicBids(torch.ones(3)), torch.tensor([1.0, 2.0, 5.0]))
    clearing = ProportionalShare()(bids, 4.0, [1.0, 2.0, 0.5])
    assert clearing.price.tolist() == [2.0]
    torch.testing.assert_close(clearing.quantity, torch.tensor([0.5, 0.5, 5.0]))  # of the resource: 1/2, 1, 5/2
    assert clearing.payment.tolist() == [1, 2, 5]
    equal = ProportionalShare()(EntropicBids(torch.tensor([1.0, 9.0])), 3.0)
    assert equal.quantity.tolist() == pytest.approx([1.5, 1.5])
    nothing = ProportionalShare()(EntropicBids(torch.tensor([1.0, 9.0])), 0.0)
    assert (nothing.word, nothing.quantity.tolist(), nothing.payment.tolist()) == ("infeasible", [0, 0], [0, 0])


@pytest.mark.parametrize("seed", range(5))
def test_with_one_good_the_equilibrium_is_the_proportional_share(seed: int) -> None:
    bids = endowed(7, seed)
    cost = torch.rand(7, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE) + 0.2
    shares, equilibrium = (rule()(bids, 2.0, cost) for rule in (ProportionalShare, CompetitiveEquilibrium))
    torch.testing.assert_close(equilibrium.quantity, shares.quantity)
    torch.testing.assert_close(equilibrium.price, shares.price)
    torch.testing.assert_close(equilibrium.payment, shares.payment)


@pytest.mark.parametrize("seed", range(5))
def test_the_eisenberg_gale_optimum_of_three_resources(seed: int) -> None:
    bids, n = endowed(8, seed), 8
    generator = torch.Generator().manual_seed(seed)
    cost = torch.rand(n, 3, generator=generator, dtype=DOUBLE) + 0.05
    supply = torch.rand(3, generator=generator, dtype=DOUBLE) + 1.0
    clearing = CompetitiveEquilibrium()(bids, supply.tolist(), cost)
    money = bids.money.numpy()
    limits = [{"type": "ineq", "fun": lambda x, k=k: float(supply[k]) - x @ cost[:, k].numpy()} for k in range(3)]
    solver: Any = minimize  # its types ask for more than it does
    found = solver(lambda x: -float(money @ np.log(x)), np.full(n, 0.05), method="SLSQP", bounds=[(1e-9, None)] * n,
                     constraints=limits, options={"maxiter": 1000, "ftol": 1e-15})  # fmt: skip
    np.testing.assert_allclose(clearing.quantity.numpy(), found.x, rtol=1e-4)
    assert float(money @ np.log(clearing.quantity.numpy())) >= -found.fun - 1e-9
    torch.testing.assert_close(clearing.payment, bids.money)  # all money is spent
    assert (clearing.price * clearing.residual).abs().max() < 1e-8


def test_equal_incomes_leave_no_envy() -> None:
    """At the prices, nobody could have paid for more than it got; so nobody would rather have another's bundle."""
    generator = torch.Generator().manual_seed(3)
    cost = torch.rand(5, 2, generator=generator, dtype=DOUBLE) + 0.1
    clearing = CompetitiveEquilibrium()(EntropicBids(torch.full((5,), 9.0, dtype=DOUBLE)), [1.0, 1.0], cost)
    bundle = cost * clearing.quantity.unsqueeze(-1)
    level = (bundle.unsqueeze(0) / cost.unsqueeze(1)).amin(-1)  # of i with the bundle of j
    assert (level <= clearing.quantity.unsqueeze(-1) + 1e-9).all()
    assert clearing.payment.tolist() == pytest.approx([1.0] * 5)


def test_who_has_had_enough_leaves_its_share_to_others() -> None:
    """Logistic agents of score -20 want next to nothing; the others share 1 by their money."""
    bids = Budgeted(LogisticBids(torch.tensor([-20.0, 20.0, 20.0])), torch.tensor([5.0, 1.0, 3.0]))
    clearing = CompetitiveEquilibrium()(bids, 1.0)
    assert clearing.quantity.tolist() == pytest.approx([0.0, 0.25, 0.75], abs=1e-6)
    assert clearing.payment[0] < 1e-6
    plenty = CompetitiveEquilibrium()(bids, 5.0)
    assert plenty.word == "slack"
    assert plenty.quantity.tolist() == pytest.approx([1 / (1 + math.exp(20)), 1.0, 1.0], abs=1e-6)


def test_indivisible_units_may_have_no_equilibrium() -> None:
    bids = Budgeted(IndivisibleBids(torch.tensor([1.0, 1.0, 1.0])), torch.tensor([3.0, 2.0, 1.0]))
    sold_out = CompetitiveEquilibrium()(bids, 2.0)
    assert sold_out.status == Status.CLEARED
    assert sold_out.quantity.tolist() == [1, 1, 0]
    assert sold_out.payment.tolist() == [1, 1, 0]
    left = CompetitiveEquilibrium()(bids, 2.5)
    assert left.word == "no_equilibrium"
    assert left.residual.item() == pytest.approx(-0.5)
    assert CompetitiveEquilibrium()(bids, 3.0).word == "slack"


def test_refusals() -> None:
    for rule in (ProportionalShare, CompetitiveEquilibrium):
        with pytest.raises(InputError, match="endowment is -1"):
            rule(endowment=-1.0)
    with pytest.raises(RequirementError, match="ProportionalShare requires bids that are concave; IndivisibleBids"):
        ProportionalShare()(IndivisibleBids(torch.tensor([1.0])), 1.0)
    with pytest.raises(InputError, match="divides one resource"):
        ProportionalShare()(EntropicBids(torch.tensor([1.0])), [1.0, 1.0], torch.ones(1, 2))
    with pytest.raises(InputError, match="a cost is 0"):
        ProportionalShare()(EntropicBids(torch.tensor([1.0])), 1.0, [0.0])
    with pytest.raises(RequirementError, match="requires bids that are concave or indivisible; SurgeBids"):
        CompetitiveEquilibrium()(SurgeBids(torch.ones(2), 0.5, 0.5), 1.0)


@pytest.mark.parametrize(
    ("supply", "cost", "money"),
    [
        (3.0, [1.0, 5.0, 2.0], [10.0, 9.0, 1.0]),  # at 1.8 a unit the third fits, would be asked 3.6, and has 1
        ([2.0, 10.0], [[1.0, 1.0], [5.0, 1.0], [1.0, 1.0]], [5.0, 9.0, 1.0]),
    ],
)
def test_who_fits_behind_the_price_pays_no_more_than_its_money(supply: Any, cost: Any, money: list[float]) -> None:
    bids = Budgeted(IndivisibleBids(torch.full((3,), 10.0, dtype=DOUBLE)), torch.tensor(money, dtype=DOUBLE))
    sold = ShadowPrice()(bids, supply, cost)
    assert sold.quantity.tolist() == [1, 0, 1]
    assert sold.payment[2].item() == 1.0
    assert sold.price[0].item() == pytest.approx(1.8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_in_an_equilibrium_who_fits_but_cannot_pay_the_price_goes_without(dtype: torch.dtype) -> None:
    money = torch.tensor([5.0, 10.0, 1.9375], dtype=dtype)  # at 2 a unit the third is short of a 32nd
    found = CompetitiveEquilibrium()(
        Budgeted(IndivisibleBids(torch.full_like(money, 10.0)), money), 2.0, [1.0, 5.0, 1.0]
    )
    assert found.quantity.tolist() == [1, 0, 0]
    assert bool((found.payment <= money).all())
    assert found.word == "no_equilibrium"
