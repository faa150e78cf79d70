"""Bertsekas' auction against the exact assignment, and against `ShadowPrice` with a price for every good."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.solvers.assignment import assign_by_auction


def values(bidders: int, goods: int, seed: int) -> Tensor:
    return torch.randn(bidders, goods, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def exact(value: Tensor, places: int) -> float:
    """By the Hungarian method, a column for every place; one place a bidder."""
    columns = value.numpy().repeat(places, axis=1)
    rows, chosen = linear_sum_assignment(columns, maximize=True)
    return float(columns[rows, chosen].sum())


def test_by_hand() -> None:
    # Both want good 0; the second gains less by it: 3 - 2 = 1 against 5 - 1 = 4.
    value = torch.tensor([[5.0, 1.0], [3.0, 2.0]], dtype=torch.float64)
    found = assign_by_auction(value, wants=1, places=1, step=0.01)
    assert found.holds.tolist() == [[True, False], [False, True]]
    assert 1 - 0.01 <= float(found.price[0]) <= 4 + 0.01  # at which each has what it likes best, within a step
    assert float(found.price[1]) == 0


def test_nobody_pays_where_there_is_room_for_all() -> None:
    value = values(6, 3, 0)
    found = assign_by_auction(value, wants=2, places=6, step=0.1)
    assert found.price.tolist() == [0, 0, 0]
    assert torch.equal(found.holds, torch.zeros_like(found.holds).scatter(1, value.topk(2).indices, True))
    assert found.rounds == 1
    assert bool(assign_by_auction(value, wants=3, places=6, step=0.1).holds.all())


@given(seed=st.integers(0, 999), goods=st.integers(2, 5), places=st.integers(1, 6), spare=st.integers(0, 4))
def test_one_place_a_bidder_is_the_linear_assignment(seed: int, goods: int, places: int, spare: int) -> None:
    bidders = max(goods * places - spare, 1)
    value = values(bidders, goods, seed)
    found = assign_by_auction(value, 1, places, 1e-3)
    assert found.holds.sum(1).tolist() == [1] * bidders
    assert int(found.holds.sum(0).max()) <= places
    total = float(value[found.holds].sum())
    best = exact(value, places)
    assert best - 1e-3 * bidders - 1e-9 <= total <= best + 1e-9


@given(seed=st.integers(0, 999), wants=st.integers(1, 3), step=st.sampled_from([0.3, 0.03, 0.003]))
def test_several_places_a_bidder_are_within_a_step_of_the_dual(seed: int, wants: int, step: float) -> None:
    value, goods = values(24, 4, seed), 4
    places = math.ceil(24 * wants / goods) + seed % 3
    found = assign_by_auction(value, wants, places, step)
    assert found.holds.sum(1).tolist() == [wants] * 24
    load = found.holds.sum(0)
    assert int(load.max()) <= places
    assert bool(((found.price == 0) | (load == places)).all())  # what is left over is free
    net = value - found.price
    last = net.topk(wants).values[:, -1:]
    assert bool((net[found.holds] >= last.expand_as(net)[found.holds] - step - 1e-9).all())
    dual = float(net.topk(wants).values.sum() + places * found.price.sum())
    total = float(value[found.holds].sum())
    assert total - 1e-9 <= dual <= total + step * wants * 24 + 1e-9


@pytest.mark.parametrize("wants", [1, 2])
def test_equal_values_are_shared_out_by_position(wants: int) -> None:
    found = assign_by_auction(torch.zeros(40, 4, dtype=torch.float64), wants, 10 * wants, 0.01)
    assert found.holds.sum(0).tolist() == [10 * wants] * 4
    assert found.holds.sum(1).tolist() == [wants] * 40
    assert found.rounds < 50


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wants": 4}, "each bidder wants 4 of 3 goods; valid: 1 to 3"),
        ({"wants": 0}, "each bidder wants 0 of 3 goods"),
        ({"places": 1}, "6 bidders want 1 places each, and 3 goods have 1 places each"),
        ({"step": 0.0}, "step is 0.0; it must be a number above 0"),
        ({"value": torch.full((6, 3), float("nan"))}, "values of an assignment must be finite"),
    ],
)
def test_bad_input(settings: dict[str, Any], message: str) -> None:
    given = {"value": torch.zeros(6, 3), "wants": 1, "places": 2, "step": 0.1, **settings}
    with pytest.raises(InputError, match=message):
        assign_by_auction(**given)


def test_many_bidders_take_few_rounds() -> None:
    """A router's logits, as they are when training begins: tokens that nearly agree."""
    value = 0.3 * values(2048, 8, 0) + 0.5 * values(1, 8, 1)
    found = assign_by_auction(value, 2, 512, 0.02)
    assert found.rounds < 400
    assert np.array_equal(found.holds.sum(0).numpy(), [512] * 8)
