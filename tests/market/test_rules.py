"""Mechanisms on the floor: what they learn, where they agree, and one that cheats."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor

from walras.agents import Fisher
from walras.errors import InputError, SupplyExceededError
from walras.market import ComputeMarket, budget_path
from walras.mechanisms import Bids, Clearing, Mechanism, PostedPrice, ShadowPrice, UniformPriceAuction


@final
@dataclass(frozen=True)
class Generous(Mechanism):
    """Hands out everything from the round on in which the supply falls below a half."""

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        fair = ShadowPrice().clear(bids, supply, cost)
        return replace(fair, quantity=torch.ones_like(fair.quantity)) if supply.item() < 0.5 else fair


@pytest.mark.parametrize("budget", budget_path(0.2, 6))
def test_shadow_price_sells_what_an_auction_does_and_what_that_leaves(floor: Any, budget: float) -> None:
    """Values are additive and compute is one resource: the rules agree on the price, and on all that pay it."""
    shadow, auction = (floor.market(Fisher(), rule, [budget]) for rule in (ShadowPrice(), UniformPriceAuction()))
    shadow.step()
    auction.step()
    won = auction.ledger.quantity > 0
    assert bool((shadow.ledger.quantity[won] > 0).all())
    assert shadow.rounds[-1].price == pytest.approx(auction.rounds[-1].price, rel=1e-12)
    assert shadow.ledger.payment[won] == pytest.approx(auction.ledger.payment[won], rel=1e-12)
    left = budget - shadow.rounds[-1].used
    out = shadow.ledger.quantity == 0
    assert 0 <= left < floor.calibration.cost[out].min()  # nobody that was left out would fit
    assert shadow.rounds[-1].price > 0


def test_a_posted_price_is_learnt_from_round_to_round(floor: Any) -> None:
    path = [0.7, 0.5, 0.3]
    posted = floor.market(floor.rising(), PostedPrice(), path)
    cleared = floor.market(floor.rising(), ShadowPrice(), path)
    for _ in path:
        posted.step()
        cleared.step()
    assert posted.rounds[0].price == 0
    assert posted.rounds[0].status == "rationed"
    for before, now in zip(cleared.rounds, posted.rounds[1:], strict=False):
        assert now.price == pytest.approx(before.price, rel=1e-12)
    assert isinstance(posted.mechanism, PostedPrice)
    assert posted.mechanism.last == pytest.approx(cleared.rounds[-1].price, rel=1e-12)


def test_a_fixed_tax_stays(floor: Any) -> None:
    """Value per compute is 1 to 14 in the order of the units: whoever is worth less than 9.5 leaves."""
    market = floor.market(floor.rising(), PostedPrice(price=9.5), [1.0, 1.0])
    for _ in range(2):
        market.step()
        assert market.ledger.quantity.tolist() == [0.0] * 9 + [1.0] * 5
        assert (market.rounds[-1].price, market.rounds[-1].status) == (9.5, "slack")


def test_what_exceeds_the_supply_is_refused_and_leaves_no_part(floor: Any, tmp_path: Path) -> None:
    market: ComputeMarket = floor.market(floor.rising(), Generous(), [0.8, 0.4], trace=tmp_path)
    market.step()
    gates, wealth = market.gates, market.ledger.wealth
    for _ in range(2):  # also when it is tried again
        with pytest.raises(SupplyExceededError, match=r"Generous handed out .* of a supply of 0\.4"):
            market.step()
        assert [p.name for p in tmp_path.iterdir()] == ["part-00001.parquet"]
        assert market.round == len(market.frame) == 1
        assert torch.equal(market.gates, gates)
        assert np.array_equal(market.ledger.wealth, wealth)
    market.mechanism = ShadowPrice()
    market.step()
    assert market.round == 2


def test_a_value_that_is_no_number_is_named_by_its_unit(floor: Any) -> None:
    values = [1.0] * 14
    values[9] = float("nan")
    market = floor.market(floor.given(values))
    with pytest.raises(InputError, match=r"Given values L1\.F0 at nan; values must be finite numbers"):
        market.step()
    assert market.round == 0


def test_values_of_another_shape_are_refused(floor: Any) -> None:
    with pytest.raises(InputError, match=r"Given returned values of shape \(3,\) for 14 units"):
        floor.market(floor.given([1.0] * 3)).step()
