"""Histograms of offers, and the prices that they give."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.offers import Collector, Offers, _place, _value
from walras.models.tokens.relative_prices import (
    EqualShares,
    ExchangeRates,
    GivenShares,
    Mixture,
    OnePrice,
    RelativePrices,
    at_share,
)
from walras.models.tokens.token_map import TokenMap

WIDE = TokenMap(0, "wide", "query", inputs=3000, outputs=10)
NARROW = TokenMap(0, "narrow", "output", inputs=1000, outputs=50)
MAPS = (WIDE, NARROW)


def offers(scale: float, count: int, seed: int) -> Offers:
    found = Offers()
    value = scale * torch.randn(count, generator=torch.Generator().manual_seed(seed)).square()
    found.add(value, value > scale)
    return found


@pytest.fixture
def both() -> dict[str, Offers]:
    return {"wide": offers(1e-9, 30000, 0), "narrow": offers(1e-7, 10000, 1)}


@pytest.fixture
def dense(both: dict[str, Offers]) -> Calibrated:
    """A network whose offers are known."""
    found = Calibrated(torch.nn.Identity(), MAPS, {}, [])
    vars(found)["dense_offers"] = both
    return found


@given(st.floats(0.001, 0.999), st.integers(0, 5))
def test_prices_sell_the_share(share: float, seed: int) -> None:
    found = offers(1e-6, 20000, seed)
    price = found.price_for(share)
    assert found.share_at(price) == pytest.approx(share, abs=1e-9)


def test_the_true_share_is_near() -> None:
    value = 1e-6 * torch.randn(20000, generator=torch.Generator().manual_seed(0)).square()
    found = Offers()
    for some in value.view(-1, 2500):
        found.add(some, some > 0)
    assert (found.offered, found.bought) == (20000, 20000)
    for share in (0.1, 0.5, 0.9):
        assert float((value >= found.price_for(share)).float().mean()) == pytest.approx(share, abs=0.005)
    assert found.price_for(1.0) == 0
    assert found.share_at(0.0) == 1


@given(st.floats(2.0**-149, 2.0**127, width=32))
def test_bins_are_the_first_bits(value: float) -> None:
    """A price lies where a value of its size is counted, subnormal or not, and is found again from there."""
    found = Offers()
    found.add(torch.tensor([value]), torch.tensor([True]))
    assert int(found.counts.nonzero()) == int(_place(value))
    assert _value(_place(value)) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 2.0**-149, 1e-6, 1.0, torch.finfo(torch.float32).max])
def test_nobody_buys_at_the_price_of_none(value: float) -> None:
    found = Offers()
    found.add(torch.tensor([value, value / 2, 0.0]), torch.tensor([True, True, True]))
    price = found.price_for(0.0)
    assert 0 < price <= torch.finfo(torch.float32).max
    assert found.share_at(price) == pytest.approx(0.0, abs=1e-5)
    assert price <= max(value * 1.02, 1e-37) or value > 1e38


def test_features_that_are_zero_do_not_buy() -> None:
    found = Offers()
    value = torch.tensor([0.0, 0.0, 0.0, 1.0])
    found.add(value, value > 0)
    assert found.share_at(0.5) == 0.25
    assert 0 < found.price_for(0.25) <= 1.0


def test_a_collector_keeps_maps_apart() -> None:
    collector = Collector()
    collector(WIDE, torch.ones(2, 3000), torch.ones(2, 3000, dtype=torch.bool))
    collector(NARROW, torch.ones(1000), torch.zeros(1000, dtype=torch.bool))
    assert {path: (own.offered, own.bought) for path, own in collector.offers.items()} == {
        "wide": (6000, 6000), "narrow": (1000, 0)
    }  # fmt: skip


def sold(prices: dict[str, float], both: dict[str, Offers]) -> float:
    whole = sum(m.bidders * m.cost for m in MAPS)
    return sum(both[m.path].share_at(prices[m.path]) * m.bidders * m.cost for m in MAPS) / whole


@pytest.mark.parametrize("prices", [EqualShares(), OnePrice(), ExchangeRates({"wide": 1.0, "narrow": 9.0})])
@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_every_kind_of_prices_sells_the_share(prices: RelativePrices, share: float, both: dict[str, Offers]) -> None:
    assert sold(prices(MAPS, both, share), both) == pytest.approx(share, abs=1e-6)


def test_rates_of_exchange(both: dict[str, Offers]) -> None:
    """A map whose bids are worth ten times as much buys at a tenth of the price."""
    prices = ExchangeRates({"wide": 1.0, "narrow": 10.0})(MAPS, both, 0.5)
    assert prices["wide"] == pytest.approx(10 * prices["narrow"])


def test_given_shares_are_sold(both: dict[str, Offers]) -> None:
    prices = GivenShares({"wide": 0.3, "narrow": 0.8})(MAPS, both, 0.5)
    assert [own.share_at(prices[path]) for path, own in both.items()] == pytest.approx([0.3, 0.8])


def test_one_price_and_equal_shares(both: dict[str, Offers]) -> None:
    one = OnePrice()(MAPS, both, 0.5)
    assert one["wide"] == pytest.approx(one["narrow"])
    assert both["narrow"].share_at(one["narrow"]) > 0.7 > 0.3 > both["wide"].share_at(one["wide"])
    equal = EqualShares()(MAPS, both, 0.5)
    assert [own.share_at(equal[path]) for path, own in both.items()] == pytest.approx([0.5, 0.5])


def test_a_mixture_is_between_one_price_and_equal_shares(dense: Calibrated, both: dict[str, Offers]) -> None:
    one, equal = OnePrice()(MAPS, both, 0.5), EqualShares()(MAPS, both, 0.5)
    for exponent, end in ((0.0, one), (1.0, equal)):
        assert Mixture(exponent).fit(dense, 0.5)(MAPS, both, 0.5) == pytest.approx(end, rel=1e-6)
    between = Mixture(0.5).fit(dense, 0.5)(MAPS, both, 0.5)
    assert between["wide"] == pytest.approx((one["wide"] * equal["wide"]) ** 0.5, rel=0.2)
    assert one["wide"] > between["wide"] > equal["wide"]
    assert one["narrow"] < between["narrow"] < equal["narrow"]
    with pytest.raises(InputError, match="exponent is 2; it must be a number from 0 to 1"):
        Mixture(2)


def test_rates_of_a_mixture_stay_those_of_the_dense_network(dense: Calibrated, both: dict[str, Offers]) -> None:
    """What one map offers less of, it also sells less of: its price does not follow it down."""
    mixed = Mixture(1.0).fit(dense, 0.5)
    fewer = {**both, "narrow": offers(1e-9, 10000, 1)}
    prices = mixed(MAPS, fewer, 0.5)
    before = mixed(MAPS, both, 0.5)
    assert prices["wide"] / prices["narrow"] == pytest.approx(before["wide"] / before["narrow"])
    assert fewer["narrow"].share_at(prices["narrow"]) < 0.5 < fewer["wide"].share_at(prices["wide"])


def test_rates_are_kept(both: dict[str, Offers]) -> None:
    prices = at_share(MAPS, both, {"wide": 1.0, "narrow": 7.0}, 0.4)
    assert prices["narrow"] / prices["wide"] == pytest.approx(7.0)
