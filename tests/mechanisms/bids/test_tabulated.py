"""Bids from measured curves."""

from itertools import product
from typing import Any

import pytest
import torch

from walras.errors import InputError
from walras.mechanisms import ShadowPrice, TabulatedBids
from walras.mechanisms.testing.bids_conformance import check_bids

GRID = torch.tensor([100.0, 200.0, 400.0, 800.0], dtype=torch.float64)


def random(n: int, seed: int) -> TabulatedBids:
    draw = torch.Generator().manual_seed(seed)
    steps = torch.rand(n, 4, generator=draw, dtype=torch.float64).pow(4)
    return TabulatedBids(GRID, (steps / steps.sum(-1, keepdim=True) * torch.rand(n, 1, generator=draw)).cumsum(-1))


def test_conformance() -> None:
    value = torch.cat([random(6, 0).value, torch.zeros(1, 4)])
    bids = TabulatedBids(GRID, value)
    assert [c for c in check_bids(bids, most=1000.0, points=101) if not c.passed] == []
    assert bids.reservation_price()[-1] == -torch.inf


def test_by_hand() -> None:
    bids = TabulatedBids(GRID, torch.tensor([[0.0, 0.5, 0.6, 0.9]], dtype=torch.float64))
    assert bids.utility(torch.tensor([99.0])) == bids.utility(torch.tensor([150.0])) == 0
    assert bids.utility(torch.tensor([399.0])) == 0.5
    assert bids.utility(torch.tensor([5000.0])) == 0.9
    assert bids.reservation_price().item() == 0.5 / 200
    for price, demand in ((0.0026, 0), (0.0025, 200), (0.00067, 200), (0.00066, 800), (0.0, 800)):
        assert bids.demand(torch.tensor([price], dtype=torch.float64)).item() == demand
    assert (
        bids.demand(torch.tensor([9.0]), stay=torch.tensor([True])).item() == 200
    )  # the least that is worth something


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10))
def test_within_the_largest_value_of_the_optimum(seed: int) -> None:
    bids = random(6, seed)
    supply = 300.0 * (1 + seed % 5)
    levels, worth = [0.0, *GRID.tolist()], torch.cat([torch.zeros(6, 1), bids.value], -1)
    sums = [
        sum(float(worth[i, j]) for i, j in enumerate(choice))
        for choice in product(range(5), repeat=6)
        if sum(levels[j] for j in choice) <= supply
    ]
    found = bids.utility(ShadowPrice()(bids, supply).quantity).sum().item()
    assert max(sums) - float(bids.value.max()) <= found <= max(sums) + 1e-12


@pytest.mark.parametrize(
    ("grid", "value", "message"),
    [
        ([1.0, 2.0], [[0.5, 0.4]], "falls along the grid"),
        ([1.0, 2.0], [[-0.5, 0.4]], "below 0"),
        ([2.0, 1.0], [[0.1, 0.4]], "must rise"),
        ([0.0, 1.0], [[0.1, 0.4]], "must rise"),
        ([1.0], [[0.1, 0.4]], "valid: "),
        ([1.0, 2.0], [[0.1, float("nan")]], "nan"),
    ],
)
def test_bad_input(grid: Any, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TabulatedBids(torch.tensor(grid), torch.tensor(value))
