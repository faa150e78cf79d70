"""What holds in every market that Hypothesis can think of."""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from walras.mechanisms import (
    Bids,
    EntropicBids,
    IndivisibleBids,
    LogisticBids,
    Mechanism,
    PostedPrice,
    QuadraticBids,
    ShadowPrice,
    Status,
    TsallisBids,
    UniformPriceAuction,
    resource_use,
)

TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-8}
# Round numbers make ties and exact fits, which random floats never do.
VALUES = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0]), st.floats(-10, 10))
COSTS = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(1 / 64, 4))


@dataclass(frozen=True)
class Drawn:
    score: Tensor
    supply: float
    cost: Tensor

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.score.dtype] * (1 + self.score.abs().max().item() + self.supply)


@st.composite
def markets(draw: Any) -> Drawn:
    pairs = draw(st.lists(st.tuples(VALUES, COSTS), min_size=1, max_size=12))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    score, cost = torch.tensor(pairs, dtype=dtype).unbind(-1)
    share = draw(st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1.25)))
    return Drawn(score, share * cost.sum().item(), cost)


def kinds(market: Drawn) -> list[Bids]:
    divisible: list[Bids] = [QuadraticBids(market.score), EntropicBids(market.score, 2.0), TsallisBids(market.score)]
    divisible.append(LogisticBids(market.score, 1.5))
    return [IndivisibleBids(market.score), *divisible]


def sold(rule: Mechanism, bids: Bids, market: Drawn) -> None:
    """Feasible, individually rational, nobody paid for, and the status fits what was left."""
    clearing = rule(bids, market.supply, market.cost)
    used = resource_use(market.cost.unsqueeze(-1), clearing.quantity).item()
    assert used <= market.supply * (1 + 1e-5) + torch.finfo(market.cost.dtype).tiny  # below it nothing is exact
    utility = bids.utility(clearing.quantity)
    assert bool((clearing.payment <= utility).all())
    assert clearing.price.item() >= rule.price_floor
    if rule.price_floor >= 0:
        assert clearing.price.item() >= 0
    if clearing.status == Status.SLACK:
        assert clearing.residual.item() <= market.tolerance


@given(markets(), st.floats(0, 3))
def test_feasible_and_individually_rational(market: Drawn, price: float) -> None:
    for bids in kinds(market):
        for rule in (ShadowPrice(), ShadowPrice(-torch.inf), PostedPrice(price=price)):
            sold(rule, bids, market)
    sold(UniformPriceAuction(), kinds(market)[0], market)
    sold(UniformPriceAuction(-torch.inf), kinds(market)[0], market)


@given(markets())
def test_the_three_rules_agree(market: Drawn) -> None:
    bids = IndivisibleBids(market.score)
    shadow, auction = (rule(bids, market.supply, market.cost) for rule in (ShadowPrice(), UniformPriceAuction()))
    assert torch.equal(shadow.price, auction.price)
    assert bool((shadow.quantity >= auction.quantity).all())
    for population in kinds(market):
        cleared = ShadowPrice()(population, market.supply, market.cost)
        posted = PostedPrice(price=cleared.price.item())(population, market.supply, market.cost)
        discounted = (
            population.reservation_price() / market.cost < cleared.price
        )  # it fits, and pays less than the price
        sold = torch.where(discounted, 0.0, cleared.quantity)
        torch.testing.assert_close(posted.quantity, sold, rtol=0, atol=market.tolerance)
        torch.testing.assert_close(posted.price, cleared.price)


@given(markets(), st.floats(0, 2), st.floats(0.1, 3))
def test_a_divisible_market_in_equilibrium_cannot_be_bettered(market: Drawn, shift: float, factor: float) -> None:
    """First welfare theorem: the dual value at any price is at least the welfare, and equal at the clearing price."""
    for bids in kinds(market)[1:]:
        clearing = ShadowPrice()(bids, market.supply, market.cost)
        welfare = bids.utility(clearing.quantity).sum().item()

        def dual(price: float, bids: Bids = bids) -> float:
            asked = market.cost * price
            bought = bids.demand(asked)
            return (bids.utility(bought) - asked * bought).sum().item() + price * market.supply

        price = clearing.price.item()
        assert dual(price * factor + shift) >= welfare - 10 * market.tolerance
        if market.supply > 0:
            assert abs(dual(price) - welfare) <= 10 * market.tolerance


@given(markets())
def test_the_price_is_the_lowest_that_clears(market: Drawn) -> None:
    for bids in kinds(market)[1:]:
        price = ShadowPrice()(bids, market.supply, market.cost).price.item()
        if price > 0 and market.supply > 0:
            cheaper = bids.demand(market.cost * (price - 1e-3 * max(1, price)))
            assert resource_use(market.cost.unsqueeze(-1), cheaper).item() > market.supply
