"""Bad input is refused by value and by name, before or after the rule runs."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from walras.errors import ConformanceError, InputError, RequirementError, SupplyExceededError
from walras.mechanisms import (
    Bids,
    Clearing,
    EntropicBids,
    IndivisibleBids,
    KwonSearch,
    LogisticBids,
    Mechanism,
    PostedPrice,
    QuadraticBids,
    ShadowPrice,
    TsallisBids,
    UniformPriceAuction,
)

NAN, INF = float("nan"), float("inf")
THREE = IndivisibleBids(torch.tensor([1.0, 2.0, 3.0]))
TWO_BY_THREE = IndivisibleBids(torch.ones(2, 3))
RULES = [ShadowPrice(), UniformPriceAuction(), PostedPrice(price=0.5), KwonSearch()]


@pytest.mark.parametrize("kind", [IndivisibleBids, EntropicBids, QuadraticBids, TsallisBids, LogisticBids])
def test_values_must_be_numbers_below_infinity(kind: Any) -> None:
    with pytest.raises(InputError, match=r"at \[1\] is nan"):
        kind(torch.tensor([1.0, NAN]))
    with pytest.raises(InputError, match=r"at \[0, 1\] is inf"):
        kind(torch.tensor([[1.0, INF]]))
    with pytest.raises(InputError, match="a scalar was given"):
        kind(torch.tensor(1.0))
    assert kind(torch.tensor([1, 2])).reservation_price().is_floating_point()
    assert kind([1.0, -INF]).demand(torch.tensor([0.5, 0.5]))[1] == 0


@pytest.mark.parametrize("kind", [EntropicBids, QuadraticBids, TsallisBids, LogisticBids])
@pytest.mark.parametrize("temperature", [0.0, -1.0, NAN, INF])
def test_temperatures_are_positive(kind: Any, temperature: float) -> None:
    with pytest.raises(InputError, match=f"temperature is {temperature}"):
        kind(torch.ones(2), temperature)


@pytest.mark.parametrize("alpha", [1.0, 0.5, -2.0, NAN, INF])
def test_tsallis_bids_need_an_alpha_above_1(alpha: float) -> None:
    with pytest.raises(InputError, match=f"alpha is {alpha}; .*EntropicBids"):
        TsallisBids(torch.ones(2), alpha=alpha)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("bids", "supply", "cost", "message"),
    [
        (THREE, -1.0, None, "supply holds -1"),
        (THREE, NAN, None, "supply holds nan"),
        (THREE, 1.0, [1.0, -0.5, 1.0], "cost holds -0.5"),
        (THREE, 1.0, [1.0, NAN, 1.0], "cost holds nan"),
        (THREE, 1.0, [1.0, INF, 1.0], "cost holds inf"),
        (THREE, 1.0, [1.0, 1.0], r"cost has shape \[2, 1\]; 3 agents and 1 resource"),
        (THREE, 1.0, torch.ones(3, 2), r"cost has shape \[3, 2\]"),
        (THREE, [1.0, 1.0], None, r"3 agents and 2 resource\(s\) need \[..., 3, 2\]"),
        (THREE, torch.ones(4, 1), None, r"supply has shape \[4, 1\], which does not fit a batch of \[\] markets"),
        (TWO_BY_THREE, torch.ones(4, 1), None, r"supply has shape \[4, 1\].* \[2\] markets"),
        (TWO_BY_THREE, 1.0, torch.ones(5, 3, 1), r"cost has shape \[5, 3, 1\].* \[2\] markets"),
    ],
)
def test_supply_and_cost_are_checked(rule: Mechanism, bids: Bids, supply: Any, cost: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rule(bids, supply, cost)


def test_an_auction_of_divisible_bids_is_refused_by_name() -> None:
    with pytest.raises(RequirementError, match=r"UniformPriceAuction requires .*indivisible; EntropicBids are"):
        UniformPriceAuction()(EntropicBids(torch.ones(2)), 1.0)


@pytest.mark.parametrize("rule", [ShadowPrice, UniformPriceAuction, PostedPrice])
@pytest.mark.parametrize("floor", [NAN, INF])
def test_floors_are_numbers(rule: Any, floor: float) -> None:
    with pytest.raises(InputError, match=f"price_floor is {floor}"):
        rule(price_floor=floor)(THREE, 1.0)


@pytest.mark.parametrize("price", [NAN, INF, -0.1])
def test_posted_prices_are_numbers_above_the_floor(price: float) -> None:
    with pytest.raises(InputError, match=f"price is {price}; it must be a number of at least 0"):
        PostedPrice(price=price)


def test_one_price_cannot_be_learned_from_many_markets() -> None:
    rule, supply, cost = PostedPrice(), torch.ones(2, 1), torch.ones(3, 1)
    with pytest.raises(InputError, match="a batch of 2 markets"):
        rule.after(TWO_BY_THREE, supply, cost, rule(TWO_BY_THREE, supply, cost))


@dataclass(frozen=True)
class Returns(Mechanism):
    """Returns a sound answer with some parts replaced."""

    parts: dict[str, Any]
    requires: ClassVar[frozenset[str]] = frozenset()

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        return replace(ShadowPrice().clear(bids, supply, cost), **self.parts)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"quantity": torch.ones(3)}, SupplyExceededError, "Returns handed out 3 of a supply of 2"),
        ({"quantity": torch.tensor([1.0, 1.0, 0.001])}, SupplyExceededError, "handed out 2.001 of a supply of 2"),
        ({"quantity": torch.tensor([1.0, -1.0, 1.0])}, ConformanceError, "a quantity is negative"),
        ({"quantity": torch.tensor([1.0, NAN, 0.0])}, ConformanceError, "quantity holds nan"),
        ({"quantity": torch.tensor([1.0, INF, 0.0])}, ConformanceError, "quantity holds inf"),
        ({"price": torch.tensor([NAN])}, ConformanceError, "price holds nan"),
        ({"price": torch.tensor([INF])}, ConformanceError, "price holds inf"),
        ({"payment": torch.tensor([0.0, NAN, 0.0])}, ConformanceError, "payment holds nan"),
        ({"residual": torch.tensor([NAN])}, ConformanceError, "residual holds nan"),
        ({"quantity": torch.ones(2)}, ConformanceError, r"quantity has shape \[2\], expected \[3\]"),
        ({"price": torch.tensor(1.0)}, ConformanceError, r"price has shape \[\], expected \[1\]"),
        ({"payment": torch.ones(3, 1)}, ConformanceError, r"payment has shape \[3, 1\]"),
        ({"status": torch.zeros(1)}, ConformanceError, r"status has shape \[1\], expected \[\]"),
        ({"residual": torch.tensor(0.0)}, ConformanceError, r"residual has shape \[\]"),
    ],
)
def test_what_a_rule_returns_is_checked(parts: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Returns(parts)(THREE, 2.0)


def test_a_rule_must_return_a_clearing() -> None:
    class Shrugs(Mechanism):
        def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Any:
            return bids.demand(supply)

    with pytest.raises(ConformanceError, match=r"Shrugs.clear returned Tensor, not a Clearing"):
        Shrugs()(THREE, 1.0)
