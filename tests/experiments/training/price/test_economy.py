"""Units that settle: what is reserved, who stays, and at which gates."""

from math import log
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from walras.experiments.training.price.economy import MIN_KEPT_GATE, OPEN, Economy
from walras.market.pricing import Cleared, DualAscent, ShadowPricing, Tax
from walras.mechanisms import ShadowPrice
from walras.models.units.hard_concrete import HardConcrete

SHARE = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


def economy(logits: list[float], pricing: Any) -> Economy:
    return Economy(HardConcrete(torch.tensor(logits)), pricing, SHARE)


def test_without_a_budget_all_that_are_open_stay() -> None:
    keep, gates = economy([9.0, -9.0, 9.0, -9.0], Tax(0.1)).settle(0.5)
    assert keep.tolist() == [True, False, True, False]
    assert gates.tolist() == [1, 1, 1, 1]  # who leaves is cut out, not scaled


def test_for_a_budget_the_likeliest_that_fit_stay() -> None:
    keep, gates = economy([2.0, 3.0, 0.5, 1.0], DualAscent(0.6, 1.0)).settle(0.6)
    assert float(SHARE @ keep.double()) <= 0.6 + 1e-9
    assert keep.tolist()[:2] == [True, True]
    assert 0 < gates[0] < gates[1] <= 1


def test_who_cannot_be_removed_stays_and_its_compute_is_not_for_sale() -> None:
    held = economy([3.0, 3.0, 3.0, -9.0], DualAscent(0.6, 1.0))
    held.gates.fix(torch.tensor([False, False, False, True]), 1.0)
    assert held.reserved == pytest.approx(0.4)
    keep, _ = held.settle(0.7)
    assert keep[3]
    assert float(SHARE @ keep.double()) <= 0.7 + 1e-6
    priced = Economy(held.gates, ShadowPricing(0.6), SHARE).step(1.0)
    assert priced.cost.item() == pytest.approx(0.6, abs=1e-5)


def market(rounds: int, budget: float, share: torch.Tensor) -> Economy:
    gates = HardConcrete(torch.full((len(share),), 3.0))
    return Economy(gates, Cleared.from_schedule(ShadowPrice(), budget, rounds), share)


def test_who_has_left_a_market_does_not_come_back_for_what_is_left_over() -> None:
    """The two small units come first, and there would be room for them: they are worth nothing."""
    found = market(1, 0.5, torch.tensor([0.05, 0.05, 0.3, 0.3, 0.3], dtype=torch.float64))
    found.clear(torch.tensor([0.0, 0.0, 0.9, 0.8, 0.7]))
    assert found.gates.fixed.tolist()[:2] == [0, 0]
    keep, _ = found.settle(0.5)
    assert keep.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("units", [360, 1296])
def test_the_whole_budget_keeps_every_unit(units: int) -> None:
    """In float32 the shares of such networks come to more than 1."""
    share = torch.rand(units, generator=torch.Generator().manual_seed(units), dtype=torch.float64) + 0.5
    found = market(1, 1.0, share / share.sum())
    found.clear(torch.rand(units))
    keep, _ = found.settle(1.0)
    assert bool(keep.all())


def test_a_market_sells_to_the_taxed_what_the_others_leave() -> None:
    found = market(1, 0.7, SHARE)
    found.gates.fix(torch.tensor([False, False, False, True]), 1.0)
    surplus = found.clear(torch.tensor([0.3, 0.2, 0.9, 0.0]))  # 3, 1 and 3 a unit of compute: 0.3 is for sale
    assert surplus == pytest.approx(0.0, abs=1e-6)  # the first pays 3 a unit, the second all that it is worth
    assert found.gates.fixed.tolist()[2:] == [0, 1]  # the third does not fit beside the first; the second does
    assert found.gates.free.tolist() == [True, True, False, False]
    assert found.pricing.price == pytest.approx(3.0)
    assert found.settle(0.7)[0].tolist() == [True, True, False, True]


def test_who_stays_is_ajar_at_least() -> None:
    keep, gates = economy([-4.0, -4.0, -4.0, -5.0], DualAscent(0.6, 1.0)).settle(0.6)
    assert keep.tolist() == [True, True, True, False]
    assert gates.tolist() == pytest.approx([MIN_KEPT_GATE, MIN_KEPT_GATE, MIN_KEPT_GATE, 1.0])


def test_gates_begin_open_and_in_the_order_of_value_per_compute() -> None:
    units: Any = SimpleNamespace(kind=np.array(["head", "head", "ffn", "ffn"]))  # it looks at kinds alone
    value = torch.tensor([0.1, 0.6, 0.3, 4.0])  # 1, 3, 1, 10 a unit of compute; ties by position
    made = Economy.start(units, SHARE, Tax(0.1), None, value)
    assert made.gates.logits.argsort().tolist() == [0, 2, 1, 3]
    assert made.gates.logits.mean().item() == pytest.approx(log(OPEN / (1 - OPEN)), abs=1e-5)
    alike = Economy.start(units, SHARE, Tax(0.1), "head", None)
    assert alike.gates.chance(alike.gates.logits).tolist() == pytest.approx([OPEN, OPEN, 1.0, 1.0])
