"""Numbers of bids are bounded where bids are made; inside the bounds rules find finite prices and oversell nothing."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import (
    MECHANISMS,
    VCG,
    Bids,
    Budgeted,
    EntropicBids,
    IndivisibleBids,
    LogisticBids,
    MenuBids,
    PostedPrice,
    QuadraticBids,
    ShadowPrice,
    SurgeBids,
    Tatonnement,
    TsallisBids,
)
from walras.mechanisms.bids.bounds import largest

WARM = (EntropicBids, QuadraticBids, TsallisBids, LogisticBids)
RULES = [rule() for name, rule in MECHANISMS.items() if name != "PostedPrice"] + [PostedPrice(price=0.5)]
FLOAT, DOUBLE = torch.float32, torch.float64


@pytest.mark.parametrize("kind", WARM)
@pytest.mark.parametrize("temperature", [3e38, 1e-40, 1e20, 1e-20])
def test_temperatures_without_a_price_are_refused(kind: Any, temperature: float) -> None:
    with pytest.raises(InputError, match=r"temperature is .*; it must be one positive number, from 2\.\d+e-19 to 4"):
        kind(torch.rand(50), temperature)
    kind(torch.rand(50, dtype=DOUBLE), min(max(temperature, 1e-30), 1e30))


@pytest.mark.parametrize("kind", WARM)
@pytest.mark.parametrize("temperature", ["hot", None, torch.rand(2), torch.rand(2, 1), [1.0]])
def test_a_temperature_is_one_number(kind: Any, temperature: Any) -> None:
    with pytest.raises(InputError, match=r"temperature is .*; it must be one positive number"):
        kind(torch.rand(2, 3), temperature)


def anything(value: Any) -> Any:
    """A value of another type than a signature asks for."""
    return value


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IndivisibleBids(anything("x")), "value is 'x'; it must be numbers"),
        (lambda: IndivisibleBids(anything(None)), "value is None; it must be numbers"),
        (lambda: EntropicBids(torch.rand(3) * 1j), "score is complex"),
        (
            lambda: IndivisibleBids(anything([1.0, 3e38])),
            r"value at \[1\] is 3e\+38; .* of at most 4\.6",
        ),
        (lambda: IndivisibleBids(torch.tensor([1e200], dtype=DOUBLE)), r"is 1e\+200; .* at most 1\.27e\+30"),
        (lambda: TsallisBids(torch.ones(2), alpha=1 + 1e-12), "alpha is 1.00"),
        (lambda: TsallisBids(torch.ones(2), alpha=1e9), "alpha is 1000000000.0; it must be a number from 1.0"),
        (lambda: SurgeBids(torch.ones(2), 1e30), "alpha holds 1e\\+30; valid: numbers above 0, from 2"),
        (lambda: SurgeBids(torch.ones(2), 1.0, 1e-30), "beta holds 1e-30; valid: numbers above 0, from 2"),
        (lambda: SurgeBids(torch.tensor([1e20])), r"threshold holds .*; valid: numbers of 0 or more, up to 2\^53"),
        (lambda: SurgeBids(torch.ones(2), cap=1e18), r"cap holds .*; valid: numbers of 0 or more, up to 2\^53"),
        (lambda: MenuBids(torch.tensor([1e-30, 1.0]), torch.ones(3, 2)), "size holds 1e-30"),
        (lambda: Budgeted(IndivisibleBids(torch.tensor([1.0])), anything(1e30)), "money holds"),
        (
            lambda: ShadowPrice(price_floor=1e30)(IndivisibleBids(torch.tensor([1.0])), 1.0),
            r"price_floor is 1e\+30; .* at most 4",
        ),
    ],
)
def test_numbers_out_of_bounds(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def powers(dtype: torch.dtype) -> Any:
    """Numbers of every size that bids take."""
    most = math.log10(largest(dtype)) * 0.999
    return st.floats(-most, most).map(lambda power: 10.0**power)


@given(st.data(), st.sampled_from([FLOAT, DOUBLE]), st.sampled_from([1, 3, 12]), st.integers(0, 99))
def test_inside_the_bounds_all_rules_clear(data: Any, dtype: torch.dtype, n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    share, cost = torch.rand(2, n, generator=generator, dtype=dtype)
    scores = share * data.draw(powers(dtype), "size of scores")
    temperature = data.draw(powers(dtype), "temperature")
    supply = data.draw(st.sampled_from([0.0, 0.3, 1.0, 5.0]), "supply")
    kind: Any = data.draw(st.sampled_from([IndivisibleBids, *WARM]), "population")
    bids: Bids = kind(scores) if kind is IndivisibleBids else kind(scores, temperature)
    for rule in RULES:
        if rule.fits(bids) and not isinstance(rule, (Tatonnement, VCG)):  # these take long
            _sound(rule(bids, supply, cost + 0.05), supply, cost + 0.05)


@pytest.mark.parametrize("temperature", [1e-17, 1.0, 1e17])
@pytest.mark.parametrize("kind", WARM)
def test_tatonnement_at_the_bounds(kind: Any, temperature: float) -> None:
    scores = torch.rand(20, generator=torch.Generator().manual_seed(0))
    _sound(Tatonnement(rounds=100)(kind(scores, temperature), 1.0), 1.0, torch.ones(20))


def _sound(clearing: Any, supply: float, cost: Tensor) -> None:
    """What the rules' own check makes sure of, looked at once more."""
    parts: list[Tensor] = [clearing.quantity, clearing.price, clearing.payment]
    assert all(part.isfinite().all() for part in parts)
    assert (clearing.quantity * cost).sum() <= supply * (1 + 1e-4)
