"""Prices inside training, by hand: what each adds to the loss, and how it moves."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from walras.errors import InputError, UnknownNameError
from walras.market.pricing import PRICINGS, Cleared, DualAscent, Pricing, ShadowPricing, Tax
from walras.mechanisms import MECHANISMS, IndivisibleBids, Mechanism, PostedPrice, ShadowPrice, UniformPriceAuction

DOUBLE = torch.float64
SHARE = torch.tensor([0.2, 0.3, 0.1, 0.4], dtype=DOUBLE)


def cost(value: float) -> Tensor:
    return torch.tensor(value, dtype=DOUBLE, requires_grad=True)


def made(kind: type[Pricing]) -> Pricing:
    if kind is Tax:
        return Tax(0.7)
    if kind is Cleared:
        return Cleared.from_schedule(ShadowPrice(), 0.5, 3)
    return kind(budget=0.5, **({"rate": 2.0} if kind is DualAscent else {}))  # type: ignore[call-arg]  # concrete ones


@pytest.mark.parametrize("rise", ["constant", "linear", "quadratic"])
def test_a_tax_is_price_times_cost(rise: str) -> None:
    """The price rises with the first half of training, and stands then."""
    tax, power = Tax(0.8, rise), {"constant": 0, "linear": 1, "quadratic": 2}[rise]
    for at, risen in ((0.0, 0.0**power), (0.25, 0.5**power), (0.5, 1.0), (0.9, 1.0)):
        spent = cost(0.6)
        penalty = tax.penalty(spent, at)
        assert penalty.item() == pytest.approx(0.8 * risen * 0.6)
        (slope,) = torch.autograd.grad(penalty, spent)
        assert slope.item() == pytest.approx(0.8 * risen)
        assert tax.after(0.1, at).paid(at) == tax.paid(at) == pytest.approx(0.8 * risen)
    assert not tax.steered


def test_dual_ascent_by_hand() -> None:
    pricing = DualAscent(0.4, rate=2.0, price=0.5, curvature=3.0, fall=0.5)
    assert [pricing.supply(at) for at in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.7, 0.4, 0.4])
    assert [pricing.stiffness(at) for at in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([3.0, 3.0, 6.0, 30.0])
    for at, stiffness in ((0.5, 3), (0.75, 6)):
        spent = cost(0.6)
        penalty = pricing.penalty(spent, at)
        assert penalty.item() == pytest.approx(0.5 * 0.2 + stiffness * 0.04)
        (slope,) = torch.autograd.grad(penalty, spent)
        assert slope.item() == pytest.approx(0.5 + 2 * stiffness * 0.2)
    after = pricing.after(0.6, 1.0)
    assert (after.price, after.curvature) == pytest.approx((0.5 + 2 * 0.2, 3 + 2 * 0.04))
    assert pricing.after(0.3, 1.0).price < pricing.price  # below the target the price falls
    assert DualAscent(0.4, 1.0, fall=0.0).supply(0.0) == 0.4


def test_dual_ascent_finds_the_shadow_price() -> None:
    """min (1 - c)^2 subject to c = 0.4 has the multiplier 1.2; plain gradient steps on c get there."""
    pricing, spent = DualAscent(0.4, rate=0.1, fall=0.0), cost(1.0)
    for _ in range(1000):
        loss = (1 - spent).square() + pricing.penalty(spent, 0.0)
        (slope,) = torch.autograd.grad(loss, spent)
        pricing = pricing.after(spent.item(), 0.0)
        spent = (spent.detach() - 0.1 * slope).requires_grad_()
    assert spent.item() == pytest.approx(0.4, abs=1e-3)
    assert pricing.price == pytest.approx(1.2, abs=1e-2)


@pytest.mark.parametrize("at", [0.0, 0.3, 0.7, 1.0])
def test_the_shadow_price_clears_at_every_step(at: float) -> None:
    pricing = ShadowPricing(0.3)
    value = torch.tensor([3.0, -1.0, 2.0, 4.0], dtype=DOUBLE, requires_grad=True)
    left = torch.tensor(pricing.supply(at), dtype=DOUBLE, requires_grad=True)
    used = (pricing.logits(value, SHARE, left, at).sigmoid() * SHARE).sum()
    asked = (value / 0.25**at).sigmoid() @ SHARE  # at no price
    assert used.item() == pytest.approx(min(pricing.supply(at), asked.item()))
    if at:
        (slope,) = torch.autograd.grad(used, left)
        assert slope.item() == pytest.approx(1.0)  # whatever is for sale is used


def test_its_price_is_the_slope_of_the_loss() -> None:
    """A moving average of minus the slope, which is what a little more compute would have saved."""
    pricing = ShadowPricing(0.3)
    assert pricing.after(0.5, 0.1, slope=-2.0).price == pytest.approx(0.05 * 2)
    assert replace(pricing, price=1.0).after(0.5, 0.1, slope=-2.0).price == pytest.approx(0.95 + 0.1)
    assert pricing.after(0.5, 0.1) == pricing
    assert pricing.penalty(cost(0.5), 0.5).item() == 0


def test_a_market_clears_now_and_then() -> None:
    market = Cleared.from_schedule(ShadowPrice(), 0.25, 2)
    assert market.supplies == pytest.approx((0.5, 0.25))
    assert [market.due(at) for at in (0.0, 0.4, 1.0)] == [True] * 3
    value = torch.tensor([0.4, 0.3, 0.9, 0.5], dtype=DOUBLE)  # 2, 1, 9, 1.25 a unit of compute
    market, clearing = market.clear(value, SHARE)
    assert clearing.quantity.tolist() == [1, 0, 1, 0]
    assert market.price == pytest.approx(1.25)
    assert not market.due(0.4)
    assert market.due(0.5)
    spent = cost(0.6)
    penalty = market.penalty(spent, 0.4)
    assert penalty.item() == pytest.approx(1.25 * (0.6 - 0.5))
    market, clearing = market.clear(value * clearing.quantity, SHARE)
    assert clearing.quantity.tolist() == [0, 0, 1, 0]
    with pytest.raises(InputError, match="all 2 rounds"):
        market.clear(value, SHARE)


def test_supply_that_follows_the_price() -> None:
    """Ten bidders of a tenth each; the price jumps from 4 to 14 between the fifth and the sixth who leave."""
    value = torch.tensor([0, 1, 2, 3, 4, 14, 15, 16, 17, 18], dtype=DOUBLE) * 0.1
    share = torch.full((10,), 0.1, dtype=DOUBLE)
    first = market = Cleared(ShadowPrice(), (0.8, 0.6, 0.4, 0.2), even_price=True)
    clock = replace(market, even_price=False)
    sold, prices, rose = [], [], []
    for _ in range(4):
        market, clearing = market.clear(value, share)
        clock, _ = clock.clear(value, share)
        sold.append(round(float(clearing.quantity.sum())))
        prices.append(market.price)
        rose.append(clock.price)
        assert market.supply(0.5) == pytest.approx(0.1 * sold[-1])
        assert first.restored(json.loads(json.dumps(market.state()))) == market
    assert sold == [5, 5, 4, 2]  # nearest to 0 + 16 / 4 and to 4 + 12 / 3 is 4, and to 4 + 12 / 2 is 14
    assert prices == pytest.approx([4, 4, 14, 16])
    assert rose == pytest.approx([1, 3, 14, 16])  # eight, six, four and two are sold by the clock
    assert max(np.diff([0, *prices])) < max(np.diff([0, *rose]))


def test_its_first_price_is_half_way_between_the_least_bid_and_the_last_price() -> None:
    """Bids of 5, 6, 7, 8 and 10 for a fifth each; of these the last supply leaves 7 out first, and 6 is half-way."""
    value, share = torch.tensor([5.0, 6, 7, 8, 10], dtype=DOUBLE) / 5, torch.full((5,), 0.2, dtype=DOUBLE)
    market, clearing = Cleared(ShadowPrice(), (0.9, 0.4), even_price=True).clear(value, share)
    assert clearing.quantity.tolist() == [0, 0, 1, 1, 1]
    assert (market.price, market.supply(0.0)) == pytest.approx((6, 0.6))


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_supply_that_follows_the_price_shrinks_to_the_budget(rounds: int) -> None:
    """Values are taken anew in every round, and may rise: supply never does."""
    generator, share = torch.Generator().manual_seed(rounds), torch.full((40,), 0.02, dtype=DOUBLE)
    market = replace(Cleared.from_schedule(ShadowPrice(), 0.3, rounds), even_price=True)
    supplies = [1.0]
    for turn in range(rounds):
        value = torch.rand(40, generator=generator).double() + turn
        market, clearing = market.clear(value, share, reserved=0.2)
        assert float((clearing.quantity * share).sum()) + 0.2 <= market.supply(0.5) + 1e-9
        supplies.append(market.supply(0.5))
    assert supplies == sorted(supplies, reverse=True)
    assert supplies[-1] == 0.3


UNITS = IndivisibleBids(torch.ones(1))
UNIT_RULES = [rule for rule in MECHANISMS.values() if rule is not PostedPrice and rule().fits(UNITS)]


@pytest.mark.parametrize("rule", UNIT_RULES)
def test_any_mechanism_sets_the_price(rule: type[Mechanism]) -> None:
    market, clearing = Cleared.from_schedule(rule(), 0.5, 1).clear(torch.tensor([0.4, 0.3, 0.9, 0.5]).double(), SHARE)
    assert float(clearing.quantity @ SHARE) <= 0.5
    assert market.price >= 0


def test_a_rule_that_learns_is_kept_between_rounds_and_in_a_checkpoint() -> None:
    first = Cleared.from_schedule(PostedPrice(), 0.25, 3)
    second, _ = first.clear(torch.tensor([0.4, 0.3, 0.9, 0.5]).double(), SHARE)
    assert second.mechanism != first.mechanism
    assert first.restored(second.state()) == second


@pytest.mark.parametrize("kind", PRICINGS.values())
def test_states_come_back_from_plain_data(kind: type[Pricing]) -> None:
    pricing = made(kind)
    changed = pricing.after(0.9, 0.5, slope=-1.0)
    assert pricing.restored(json.loads(json.dumps(changed.state()))) == changed
    assert isinstance(changed.state()["price"], float)
    assert changed.paid(0.5) == changed.price


@pytest.mark.parametrize("kind", PRICINGS.values())
def test_penalties_are_differentiable_and_nothing_is_charged_at_price_0(kind: type[Pricing]) -> None:
    spent = cost(0.9)
    pricing = replace(made(kind), price=0.0)  # type: ignore[type-var]  # concrete ones are dataclasses
    assert torch.autograd.gradcheck(lambda c: pricing.penalty(c, 0.6), spent)
    assert pricing.penalty(spent, 0.6).item() == 0


def test_the_slope_through_the_clearing_is_right() -> None:
    pricing, left = ShadowPricing(0.4), torch.tensor(0.55, dtype=DOUBLE, requires_grad=True)
    value = torch.tensor([3.0, -1.0, 2.0, 4.0], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, s: pricing.logits(v, SHARE, s, 0.5), (value, left))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Tax(-1.0), r"price is -1\.0"),
        (lambda: Tax(float("nan")), "price is nan"),
        (lambda: DualAscent(0.0, 1.0), r"budget is 0\.0"),
        (lambda: DualAscent(0.5, 0.0), r"rate of dual ascent is 0\.0"),
        (lambda: DualAscent(0.5, 1.0, fall=1.5), r"first 1\.5 of training"),
        (lambda: ShadowPricing(1.5), r"budget is 1\.5"),
        (lambda: ShadowPricing(0.5, cool=0.0), r"cool is 0\.0"),
        (lambda: Cleared.from_schedule(UniformPriceAuction(), 0.5, 0), "rounds is 0"),
    ],
)
def test_bad_settings(wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


def test_an_unknown_rise() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'linear'"):
        Tax(1.0, "lineal")
