"""Efficiency, regret, incentives and the other figures of a round, by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from walras.agents import RoundOutcome, Shading, ZeroIntelligence
from walras.errors import InputError
from walras.market import Probes, deviation_gain
from walras.market.economics import FACTORS, Regrets, volatility
from walras.mechanisms import VCG, PayAsBidAuction, PostedPrice, ShadowPrice, UniformPriceAuction


def test_a_truthful_market_supports_its_allocation(floor: Any) -> None:
    market = floor.market(floor.rising(), ShadowPrice())
    market.step()
    found, last = market.economics[-1], market.rounds[-1]
    value, cost = market.ledger.value, market.ledger.cost
    by_hand = last.price * 0.5 + np.maximum(value - last.price * cost, 0).sum()
    assert found.bound == pytest.approx(by_hand)
    assert found.duality_gap == pytest.approx(by_hand - last.welfare, abs=1e-12)
    assert -1e-12 <= found.duality_gap <= value.max()
    assert found.efficiency == pytest.approx(last.welfare / by_hand)
    assert found.efficiency > 0.9
    kept = market.ledger.quantity > 0
    assert found.gini_compute > 1 - kept.mean() - 1e-9  # at least of those who have nothing
    assert np.isnan(found.volatility)
    assert np.isnan(found.regret)


def test_random_bids_and_wrong_prices_cost_welfare(floor: Any) -> None:
    honest, noisy, dear = (
        floor.market(floor.rising(), rule, strategy=strategy)
        for rule, strategy in (
            (ShadowPrice(), None), (ShadowPrice(), ZeroIntelligence()), (PostedPrice(price=12.0), None),
        )
    )  # fmt: skip
    for market in (honest, noisy, dear):
        market.step()
    best = honest.economics[-1]
    assert noisy.economics[-1].bound == dear.economics[-1].bound == best.bound
    assert noisy.economics[-1].efficiency < best.efficiency
    assert dear.economics[-1].efficiency < best.efficiency
    assert dear.economics[-1].duality_gap > best.duality_gap


def test_volatility_by_hand() -> None:
    assert volatility([1.0, np.e, 1.0]) == pytest.approx(1.0)
    assert volatility([1.0, 0.0, 2.0, 4.0, 8.0]) == pytest.approx(0.0)
    assert np.isnan(volatility([1.0, 2.0]))
    assert np.isnan(volatility([]))


def test_regret_by_hand() -> None:
    """Value 1, price 0.4, bids paid: asking 0.5 would have earned 0.5 a round; asking 1 earned nothing."""
    regrets = Regrets.before_trading(1)
    one = np.ones(1)
    for _ in range(3):
        regrets = regrets.after(RoundOutcome(one, one, one, np.array([0.4]), one, pays_bid=True))
    assert FACTORS[2] == 0.5
    assert regrets.mean.tolist() == pytest.approx([0.5])
    market_price = Regrets.before_trading(1).after(RoundOutcome(one, one, one, np.array([0.4]), np.array([0.4])))
    assert market_price.mean.tolist() == pytest.approx([0.0])


def test_shading_is_regretted_where_it_loses(floor: Any) -> None:
    def regret(strategy: Any) -> float:
        market = floor.market(floor.rising(), ShadowPrice(), [0.5] * 4, strategy=strategy, reentry=True)
        for _ in range(4):
            market.step()
        return float(market.economics[-1].regret)

    assert regret(None) == pytest.approx(0, abs=1e-9)
    assert regret(ZeroIntelligence()) > 0


def test_who_could_gain_by_deviating() -> None:
    value, cost = np.array([4.0, 3.0, 2.0, 1.0]), np.ones(4)

    unit = torch.from_numpy(cost)
    gain = deviation_gain(PayAsBidAuction(), value, value, 2.0, unit)
    assert gain.tolist() == pytest.approx([2.0, 0.75, 0, 0])  # bids of 2, first among equals, and 2.25 still win
    for rule in (VCG(), UniformPriceAuction(), ShadowPrice()):
        assert deviation_gain(rule, value, value, 2.0, unit).tolist() == [0] * 4
    shaded = Shading(0.4).factor * value
    shaded[0] = 0.5
    back = deviation_gain(UniformPriceAuction(), value, shaded, 2.0, unit, np.array([0, 2]))
    assert back.tolist() == pytest.approx([4 - 0.8, 0])  # the other wins already, and pays 0.5


@pytest.mark.nightly
@pytest.mark.parametrize("truthful", [1, pytest.param(14, marks=pytest.mark.nightly)])  # VCG takes long
def test_probes_find_who_could_have_gained(floor: Any, truthful: int) -> None:
    """No agent where a lie cannot move the price; some agent where winners pay what they bid."""
    everyone = len(floor.units)
    for rule, agents, gains in (
        (PostedPrice(price=12.0), everyone, False), (VCG(), truthful, False), (PayAsBidAuction(), everyone, True),
    ):  # fmt: skip
        market = floor.market(floor.rising(), rule, [0.5, 0.5], phases=[Probes(agents)])
        market.step()
        found, ledger = market.economics[-1].deviation_gain, market.ledger
        assert (found > 1e-9) is gains
        if agents == everyone:
            by_hand = deviation_gain(rule, ledger.value, ledger.report, 0.5, ledger.cost)
            assert found == pytest.approx(by_hand.max())
        market.step()  # of those who are left
        assert np.isfinite(market.economics[-1].deviation_gain)
    unprobed = floor.market(floor.rising(), PayAsBidAuction())
    unprobed.step()
    assert np.isnan(unprobed.economics[-1].deviation_gain)


def test_probes_change_nothing_else(floor: Any) -> None:
    frames = []
    for phases in ([], [Probes(3)]):
        market = floor.market(
            floor.rising(), UniformPriceAuction(), [0.5] * 3, strategy=ZeroIntelligence(), seed=4, phases=phases
        )
        for _ in range(3):
            market.step()
        frames.append(market.frame.drop(columns="deviation_gain"))
    assert frames[0].equals(frames[1])


@pytest.mark.parametrize("agents", [0, -1, 2.0, True])
def test_a_number_of_probes(agents: Any) -> None:
    with pytest.raises(InputError, match=r"agents of probes is .*; it must be a whole number of at least 1"):
        Probes(agents)


def test_probes_in_local_markets(floor: Any) -> None:
    market = floor.market(floor.rising(), PayAsBidAuction(), scope="layer", phases=["probes:agents=4"])
    market.step()
    assert market.economics[-1].deviation_gain > 0
