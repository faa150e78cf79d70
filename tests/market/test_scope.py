"""Local markets: every layer, sub-layer or kind of unit with a supply of its own."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import pytest

from walras.errors import InputError, UnknownNameError
from walras.market import SCOPES, ComputeMarket, Scope, SublayerSessions
from walras.market.scope import GLOBAL, Global, Labels, PerKind
from walras.market.supply import Supply
from walras.mechanisms import UniformPriceAuction
from walras.models import Inventory, inventory, macs
from walras.models.resources.parameters import parameters

LENGTH = 8


@final
@dataclass(frozen=True)
class Halves(Scope):
    """The lower layers trade in one market and the upper ones in another."""

    name: ClassVar[str] = "halves"
    lower: int = 1

    def markets(self, inventory: Inventory) -> Labels:
        return np.where(inventory.layer < self.lower, "lower", "upper")


@final
@dataclass(frozen=True)
class Short(Scope):
    """Forgets most units."""

    name: ClassVar[str] = "short"

    def markets(self, inventory: Inventory) -> Labels:
        return np.array(["one"])


def test_scopes_by_name() -> None:
    assert [*SCOPES] == ["global", "layer", "sublayer", "kind"]
    assert SCOPES.make("Sub-Layer").name == "sublayer"
    assert [SCOPES[name].local for name in SCOPES] == [False, True, True, True]
    assert all(entry.about.endswith(".") and len(entry.about.split()) > 6 for entry in SCOPES.describe())


def test_a_scope_of_ones_own(floor: Any) -> None:
    market: ComputeMarket = floor.market(floor.rising(), budgets=(0.6,), scope=Halves())
    layers = floor.market(floor.rising(), budgets=(0.6,), scope="layer")
    market.step()
    layers.step()
    assert market.gates.tolist() == layers.gates.tolist()
    assert {*market.rounds[0].figures} == {"price_lower", "price_upper"}
    with pytest.raises(InputError, match="scope short named 1 markets for 14 units"):
        floor.market(floor.rising(), scope=Short())


@pytest.mark.parametrize("scope", [name for name in SCOPES if name != GLOBAL])
def test_every_market_keeps_its_own_budget_and_its_best_units(floor: Any, scope: str) -> None:
    market: ComputeMarket = floor.market(floor.rising(), budgets=(0.6,), scope=scope)
    market.step()
    names, cost = SCOPES.make(scope).markets(floor.units), floor.calibration.cost
    kept, value = market.ledger.quantity > 0, market.ledger.value
    for name in dict.fromkeys(names):
        mine = names == name
        assert cost[kept & mine].sum() <= 0.6 * cost[mine].sum() * (1 + 1e-9)
        worth = value / cost
        if (kept & mine).any() and (~kept & mine).any():  # `rising`: the best of a market are its last
            assert worth[kept & mine].min() > worth[~kept & mine].max()
    assert market.rounds[-1].used == pytest.approx(cost[kept].sum())


def test_local_prices_by_hand(floor: Any) -> None:
    """Two layers of equal compute: in each the price is the value per compute of the best that is left out."""
    market: ComputeMarket = floor.market(floor.rising(), budgets=(0.6,), scope="layer")
    market.step()
    row, ledger = market.frame.iloc[-1], market.ledger
    worth = ledger.value / ledger.cost
    for layer in (0, 1):
        mine = floor.units.layer == layer
        out = worth[mine & (ledger.quantity == 0)].max()
        stays = worth[mine & (ledger.quantity > 0)].min()
        assert out - 1e-9 <= row[f"price_L{layer}"] <= stays + 1e-9
        assert ledger.price[mine] == pytest.approx(row[f"price_L{layer}"] * ledger.cost[mine])
    assert row["price"] == pytest.approx((row["price_L0"] + row["price_L1"]) / 2)
    assert row["price_L1"] > row["price_L0"]  # values rise with the layer


def test_the_global_market_is_worth_at_least_as_much(floor: Any) -> None:
    found = {}
    for scope in SCOPES:
        market: ComputeMarket = floor.market(floor.rising(), budgets=(0.6,), scope=scope)
        market.step()
        found[scope] = market.rounds[-1].welfare
        assert [c for c in map(str, market.frame) if c.startswith("price_")] == (
            [] if scope == GLOBAL else [f"price_{name}" for name in market.supply.markets]
        )
    assert found[GLOBAL] == max(found.values())
    assert found["layer"] < found[GLOBAL]


def test_one_market_is_the_plain_one(floor: Any) -> None:
    """A scope in which all trade together changes nothing, to the last bit."""
    offers = []
    for scope in (Global(), PerKind()):
        supply = Supply((macs(floor.model, floor.units, LENGTH),), scope)
        everyone, nobody = np.ones(len(floor.units), dtype=bool), np.zeros(len(floor.units))
        offers.append(supply.offer((0.5,), np.arange(float(len(floor.units))), everyone, nobody))
    plain, split = offers
    assert plain.supply.tolist() == [0.5]
    assert split.supply.sum().item() == pytest.approx(0.5)
    assert split.cost.sum(-1).tolist() == plain.cost[:, 0].tolist()
    assert ((split.cost > 0).sum(-1) == 1).all()


def test_beside_another_budget(floor: Any) -> None:
    resources = (macs(floor.model, floor.units, LENGTH), parameters(floor.model, floor.units))
    market: ComputeMarket = floor.market(
        floor.rising(), budgets=(0.8,), resources=resources, extra_budgets=[(0.4,)], scope="layer"
    )
    market.step()
    kept = market.ledger.quantity > 0
    assert resources[1].used(kept) / resources[1].dense <= 0.4
    for layer in (0, 1):
        mine = floor.units.layer == layer
        assert resources[0].share[kept & mine].sum() <= 0.8 * resources[0].share[mine].sum() + 1e-12
    assert market.rounds[-1].figures["parameters_price"] > 0


def test_what_no_unit_uses_is_spent_before_the_markets_open(floor: Any) -> None:
    """FFN neurons alone trade, and heads stay: every market sells the same share of what is left of the budget."""
    units = inventory(floor.model, ("ffn",), block=8)
    resource = macs(floor.model, units, LENGTH)
    assert resource.fixed > 0
    supply = Supply((resource,), SCOPES.make("layer"))
    everyone, nobody = np.ones(len(units), dtype=bool), np.zeros(len(units))
    offer = supply.offer((0.7,), nobody, everyone, nobody)
    fixed = resource.fixed / resource.dense
    assert offer.supply.tolist() == pytest.approx([(0.7 - fixed) / 2] * 2)
    assert offer.cost.sum().item() == pytest.approx(1 - fixed)
    assert supply.used(np.ones(len(units))) == pytest.approx((1.0,))
    assert supply.offer((fixed / 2,), nobody, everyone, nobody).supply.tolist() == [0, 0]


def test_bad_input(floor: Any) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'layer'"):
        floor.market(floor.rising(), scope="layers")
    with pytest.raises(InputError, match="scope is layer, and sub-layers trade one after the other"):
        floor.market(floor.rising(), scope="layer", phases=[SublayerSessions()])
    market: ComputeMarket = floor.market(floor.rising(), UniformPriceAuction(), scope="layer")
    with pytest.raises(InputError, match="UniformPriceAuction sells one resource; the supply has 2"):
        market.step()
