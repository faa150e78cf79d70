"""Payments, status and residual that follow from quantities and prices: by hand, and as our own rules say them."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from walras.mechanisms import (
    MECHANISMS,
    Bids,
    Budgeted,
    Clearing,
    EntropicBids,
    IndivisibleBids,
    Mechanism,
    QuadraticBids,
    ShadowPrice,
    Status,
    SurgeBids,
    UniformPriceAuction,
    resource_use,
)
from walras.mechanisms.completion import completed

DOUBLE = torch.float64
INF = torch.inf


def values(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=DOUBLE)


@dataclass(frozen=True)
class Says(Mechanism):
    """Sells the quantities at the price, and says nothing else."""

    quantity: Tensor
    price: Tensor
    price_floor: float = 0.0

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        return Clearing(self.quantity, self.price)


@dataclass(frozen=True)
class Terse(Mechanism):
    """Another rule, of which only quantities and prices are known."""

    rule: Mechanism
    clears: ClassVar[frozenset[str]] = ShadowPrice.clears

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        told = self.rule(bids, supply, cost)
        return Clearing(told.quantity, told.price)


@pytest.mark.parametrize(
    ("quantity", "price", "supply", "floor", "status", "residual"),
    [
        ([0, 1, 1], 1.0, 2.0, 0.0, Status.CLEARED, 0.0),  # the one that is left out is indifferent
        ([0, 1, 1], 1.5, 2.0, 0.0, Status.CLEARED, 0.0),  # nobody is left out, and nothing is left over
        ([0, 1, 1], 1.5, 3.0, 0.0, Status.SLACK, -1.0),
        ([0, 1, 1], 1.5, 2.0, 1.5, Status.SLACK, 0.0),  # all demand at the floor is served
        ([1, 1, 1], 0.0, 3.0, 0.0, Status.SLACK, 0.0),
        ([0, 1, 0], 0.0, 2.0, 0.0, Status.RATIONED, 1.0),  # two more would buy: 3 wanted, 2 there
        ([0, 0, 1], 1.0, 1.0, 0.0, Status.RATIONED, 1.0),  # the second would gain 1
        ([0, 0, 0], 2.0, 0.5, 0.0, Status.INFEASIBLE, 0.5),
        ([0, 0, 0], 3.0, 0.5, 0.0, Status.INFEASIBLE, -0.5),  # the best would buy, but would not gain
        ([0, 0, 0], 4.0, 2.0, 0.0, Status.SLACK, -2.0),
        ([1, 0, 0], 4.0, 2.0, 0.0, Status.SLACK, -1.0),  # pays its value, and so is content
        ([1, 1, 1], 0.0, INF, 0.0, Status.SLACK, -INF),
    ],
)
def test_indivisible_by_hand(
    quantity: list[float], price: float, supply: float, floor: float, status: Status, residual: float
) -> None:
    bids = IndivisibleBids(values(1.0, 2.0, 3.0))
    clearing = Says(values(*quantity), values(price), floor)(bids, supply)
    assert (clearing.word, clearing.residual.tolist()) == (status.word, [residual])
    assert clearing.payment.tolist() == [min(price, v) * q for v, q in zip((1, 2, 3), quantity, strict=True)]


def test_a_tie_between_a_winner_and_a_loser_is_rationed() -> None:
    bids = IndivisibleBids(values(1.0, 1.0, 2.0))
    assert Says(values(1, 0, 1), values(1.0))(bids, 2.0).word == "rationed"
    assert Says(values(0, 0, 1), values(1.0))(bids, 1.0).word == "cleared"  # no winner was as indifferent


def test_divisible_by_hand() -> None:
    bids = QuadraticBids(values(3.0, 2.0))  # demand at price 1: 2 and 1
    assert Says(values(2, 1), values(1.0))(bids, 3.0).word == "cleared"
    short = Says(values(2, 0.5), values(1.0))(bids, 2.5)
    assert (short.word, short.residual.item()) == ("rationed", 0.5)
    assert Says(values(2, 1), values(1.0))(bids, 3.5).word == "slack"
    free = Says(values(0, 0), values(9.0))(bids, 3.0)
    assert (free.word, free.residual.item()) == ("slack", -3.0)  # nobody buys at 9
    assert Says(values(0, 0), values(1.0))(bids, 0.0).word == "infeasible"


def test_money_that_is_not_there_makes_no_demand() -> None:
    bids = Budgeted(IndivisibleBids(values(3.0, 3.0)), values(1.0, 3.0))
    clearing = Says(values(0, 1), values(2.0))(bids, 1.0)
    assert (clearing.word, clearing.residual.item()) == ("cleared", 0.0)


def test_of_a_chain_only_the_next_in_line_counts() -> None:
    bids = IndivisibleBids(values(3.0, 2.0, 1.0), torch.tensor([-1, 0, 1]))
    cost = torch.ones(3, 1, dtype=DOUBLE)

    def found(*quantity: float) -> Clearing:
        return completed(Clearing(values(*quantity), values(0.5)), bids, values(1.0), cost)

    one = found(1, 0, 0)
    assert (one.word, one.residual.item()) == ("rationed", 1.0)  # the second would buy, the third could not yet
    assert found(0, 0, 0).word == "infeasible"


def test_a_batch_is_completed_market_by_market() -> None:
    bids = IndivisibleBids(values(1.0, 2.0, 3.0).expand(3, 3))
    quantity, price = torch.tensor([[0, 1, 1], [1, 1, 1], [0, 0, 1]], dtype=DOUBLE), values(1, 0, 0).unsqueeze(-1)
    clearing = Says(quantity, price)(bids, values(2, 3, 1).unsqueeze(-1))
    assert clearing.status.tolist() == [Status.CLEARED, Status.SLACK, Status.RATIONED]
    assert clearing.residual.tolist() == [[0.0], [0.0], [2.0]]


def test_what_a_rule_says_itself_is_kept() -> None:
    bids, cost, supply = IndivisibleBids(values(1.0, 2.0)), torch.ones(2, 1, dtype=DOUBLE), values(1.0)
    whole = UniformPriceAuction()(bids, supply, cost)
    assert completed(whole, bids, supply, cost) is whole
    for part in ("payment", "status", "residual"):
        other = replace(whole, **{part: getattr(whole, part) + 1})
        assert completed(other, bids, supply, cost) is other
        left_out: Any = {part: None}
        filled = completed(replace(other, **left_out), bids, supply, cost)
        assert torch.equal(getattr(filled, part), getattr(whole, part))


def test_payments_are_differentiable_and_the_rest_asks_for_no_graph() -> None:
    score = values(1.0, 2.0).requires_grad_()
    clearing = Terse(ShadowPrice())(EntropicBids(score), 1.0)
    (slope,) = torch.autograd.grad(clearing.payment.sum(), score)
    assert slope.abs().min() > 0
    assert not clearing.residual.requires_grad


NUMBERS = st.lists(st.floats(0.05, 4), min_size=1, max_size=9)


@given(NUMBERS, st.floats(0.05, 1.3), st.sampled_from([torch.float32, torch.float64]))
def test_the_auctions_status_and_residual_follow_from_quantities_and_prices(
    numbers: list[float], share: float, dtype: torch.dtype
) -> None:
    value = torch.tensor(numbers, dtype=dtype)
    cost = (value * 7.3).remainder(1.0) + 0.1
    for rule in (UniformPriceAuction(), ShadowPrice(), ShadowPrice(0.7), ShadowPrice(-INF)):
        told = rule(IndivisibleBids(value), share * cost.sum().item(), cost)
        found = Terse(rule)(IndivisibleBids(value), share * cost.sum().item(), cost)
        assert torch.equal(found.payment, told.payment)
        assert torch.equal(found.residual, told.residual)
        if rule.price_floor == 0:  # `Terse` has no other floor
            assert found.word == told.word


@pytest.mark.parametrize("bids", [QuadraticBids(values(1.0, 3.0, 2.0)), EntropicBids(values(1.0, 3.0, 2.0))], ids=str)
@pytest.mark.parametrize("supply", [0.5, 2.0, 40.0])
def test_an_equilibrium_of_concave_bids_is_known_as_one(bids: Bids, supply: float) -> None:
    told = ShadowPrice()(bids, supply)
    found = Terse(ShadowPrice())(bids, supply)
    assert found.word == told.word
    torch.testing.assert_close(found.residual, told.residual, rtol=0, atol=1e-9)


def test_demand_that_jumps_is_content_with_what_is_best_for_it() -> None:
    bids = SurgeBids(values(1.0, 1.0, 1.0), 1.0, 2.0)
    plain = ShadowPrice(rationed=False)(bids, 2.0)
    found = Terse(ShadowPrice(rationed=False))(bids, 2.0)
    assert torch.equal(found.quantity, plain.quantity)
    assert found.residual.item() == pytest.approx(plain.residual.item())


@pytest.mark.parametrize("name", MECHANISMS)
def test_every_rule_returns_a_complete_clearing(name: str) -> None:
    rule = MECHANISMS.make(name)
    bids: Bids = IndivisibleBids(values(1.0, 2.0, 3.0))
    bids = bids if rule.fits(bids) else EntropicBids(values(1.0, 2.0, 3.0))
    clearing = rule(bids, 2.0)
    assert not any(clearing.lacks(part) for part in ("payment", "status", "residual"))
    assert clearing.residual.shape == (1,)
    assert resource_use(torch.ones(3, 1, dtype=DOUBLE), clearing.quantity).item() <= 2.0 + 1e-9
