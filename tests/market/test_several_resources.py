"""Several budgets at once, and resources of which units do not add equal amounts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from walras.errors import InputError, RequirementError
from walras.market import ComputeMarket, Session, SublayerSessions
from walras.market.supply import Supply
from walras.mechanisms import UniformPriceAuction
from walras.models import Inventory, macs
from walras.models.resources.parameters import parameters
from walras.models.resources.resource import Usage

LENGTH = 8


def stepped(units: Inventory) -> Usage:
    """3 for the first unit of a sub-layer, nothing for the second, 1 for each further one; 4 in any case."""
    steps = np.concatenate([[3.0, 0.0, *[1.0] * (len(site) - 2)] for site in units.sites])
    return Usage("time", "ticks", units, np.zeros(len(units)), steps, fixed=4.0)


def test_two_additive_budgets(floor: Any) -> None:
    resources = (macs(floor.model, floor.units, LENGTH), parameters(floor.model, floor.units))
    market: ComputeMarket = floor.market(
        floor.rising(), budgets=(0.8, 0.5), resources=resources, extra_budgets=[(0.9, 0.4)], reentry=True
    )
    for budgets in ((0.8, 0.9), (0.5, 0.4)):
        market.step()
        used = [r.used(market.ledger.quantity > 0) / r.dense for r in resources]
        last, more = market.rounds[-1], market.rounds[-1].figures
        assert (last.budget, more["parameters_budget"]) == budgets
        assert [last.used, more["parameters_used"]] == pytest.approx(used)
        assert all(use <= budget for use, budget in zip(used, budgets, strict=True))
    assert market.rounds[-1].figures["parameters_price"] > 0
    assert list(market.frame.columns[-4:]) == [f"parameters_{w}" for w in ("budget", "used", "price", "residual")]
    assert market.ledger.cost.tolist() == resources[0].share.tolist()
    clearing = market.clearing
    assert clearing is not None
    rates = np.stack([r.marginal(np.zeros(len(floor.units), dtype=np.int64)) / r.dense for r in resources], -1)
    assert market.ledger.price == pytest.approx(rates @ clearing.price.numpy())


def test_one_given_resource_is_the_market_without(floor: Any) -> None:
    plain: ComputeMarket = floor.market(floor.rising(), budgets=(0.7, 0.5))
    given: ComputeMarket = floor.market(
        floor.rising(), budgets=(0.7, 0.5), resources=[macs(floor.model, floor.units, LENGTH)]
    )
    for _ in range(2):
        plain.step()
        given.step()
    pd.testing.assert_frame_equal(plain.frame, given.frame, rtol=1e-12, atol=1e-12)


def test_units_are_ranked_by_what_they_bid(floor: Any) -> None:
    """Chains in order of reports; 9 ticks over the constant buy one FFN (3 for two, 1 each for three) and attention."""
    time = stepped(floor.units)
    value = np.array([1, 2, 10, 30, 20, 1, 1, 8, 9, 1, 2, 3, 4, 5.0])  # H0 H1 F0-F4 a layer
    market: ComputeMarket = floor.market(floor.given(value.tolist()), budgets=(13 / time.dense,), resources=[time])
    market.step()
    assert np.flatnonzero(market.ledger.quantity).tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert market.rounds[-1].used == pytest.approx(time.used(market.ledger.quantity > 0) / time.dense)
    assert market.ledger.cost[:7] * time.dense == pytest.approx([0, 3, 1, 3, 0, 1, 1])  # by rank 1 0 2 0 1 3 4
    market.step()  # who has left costs nobody a rank
    assert np.flatnonzero(market.ledger.quantity).tolist() == [2, 3, 4, 5, 6, 7, 8]


def test_offer_by_hand(floor: Any) -> None:
    supply = Supply((stepped(floor.units), macs(floor.model, floor.units, LENGTH)))
    bids = np.ones(14, dtype=bool)
    bids[[0, 1, 3]] = False  # the first heads have settled, a block has left
    report, settled = np.arange(14.0), np.zeros(14)
    settled[[0, 1]] = 1
    offer = supply.offer((0.9, 0.8), report, bids, settled)
    assert offer.before is not None
    assert offer.before.tolist() == [1, 2, 3, -1, 5, -1, 7, 8, 9, 10, -1]
    assert (offer.cost[2:7, 0] * 22).tolist() == pytest.approx([1, 1, 1, 0, 3])
    two = float(supply.resources[1].marginal(np.zeros(14, dtype=np.int64))[:2].sum() / supply.resources[1].dense)
    assert offer.supply.tolist() == pytest.approx([0.9 - 7 / 22, 0.8 - two])
    assert offer.supply.dtype == torch.float64


def test_sublayer_by_sublayer(floor: Any) -> None:
    time, compute = stepped(floor.units), macs(floor.model, floor.units, LENGTH)
    market: ComputeMarket = floor.market(
        floor.rising(), budgets=(0.7,), resources=[compute, time], extra_budgets=[(0.6,)], phases=[SublayerSessions()]
    )
    for _ in floor.units.sites:
        market.step()
    keep = market.ledger.quantity > 0
    assert compute.used(keep) / compute.dense <= 0.7
    assert time.used(keep) / time.dense <= 0.6
    assert sum(market.rounds[-1].funded.values()) > 0


def test_sessions_have_all_budgets(floor: Any) -> None:
    resources = [macs(floor.model, floor.units, LENGTH), parameters(floor.model, floor.units)]
    market = floor.market(floor.rising(), budgets=(0.9, 0.5), resources=resources, extra_budgets=[(0.8, 0.7)])
    assert market.sessions == [Session(0.9, None, (0.8,)), Session(0.5, None, (0.7,))]
    assert [session.budgets for session in market.sessions] == [(0.9, 0.8), (0.5, 0.7)]


def test_bad_input(floor: Any) -> None:
    time, compute = stepped(floor.units), macs(floor.model, floor.units, LENGTH)
    with pytest.raises(InputError, match="extra_budgets has 1 paths of "):
        floor.market(floor.rising(), budgets=(0.5,), extra_budgets=[(0.5,)])
    with pytest.raises(InputError, match="each resource but the first of"):
        floor.market(floor.rising(), budgets=(0.5,), resources=[compute, time], extra_budgets=[(0.5, 0.4)])
    with pytest.raises(RequirementError, match=r"UniformPriceAuction cannot clear a budget in time of .* 'head' adds"):
        floor.market(floor.rising(), UniformPriceAuction(), budgets=(0.5,), resources=[time])
