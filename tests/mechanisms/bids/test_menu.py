"""Menus: hand-computed, against all choices, and cleared exactly."""

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError, RequirementError
from walras.mechanisms import VCG, MenuBids, ShadowPrice
from walras.mechanisms.testing.bids_conformance import check_bids

GRID = torch.tensor([100.0, 200.0, 400.0, 800.0], dtype=torch.float64)


def random(n: int, seed: int) -> MenuBids:
    draw = torch.Generator().manual_seed(seed)
    steps = torch.rand(n, 4, generator=draw, dtype=torch.float64).pow(4)
    return MenuBids(GRID, (steps / steps.sum(-1, keepdim=True) * torch.rand(n, 1, generator=draw)).cumsum(-1))


def test_conformance() -> None:
    value = torch.cat([random(6, 0).value, torch.zeros(1, 4)])
    bids = MenuBids(GRID, value)
    assert [c for c in check_bids(bids, most=1000.0, points=101) if not c.passed] == []
    assert bids.reservation_price()[-1] == -torch.inf


def test_by_hand() -> None:
    bids = MenuBids(GRID, torch.tensor([[0.0, 0.5, 0.6, 0.9]], dtype=torch.float64))
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
        ([1.0, 2.0], [[0.5, 0.4]], "falls along the menu"),
        ([1.0, 2.0], [[-0.5, 0.4]], "below 0"),
        ([2.0, 1.0], [[0.1, 0.4]], "must rise"),
        ([0.0, 1.0], [[0.1, 0.4]], "must rise"),
        ([1.0], [[0.1, 0.4]], "valid: "),
        ([1.0, 2.0], [[0.1, float("nan")]], "nan"),
    ],
)
def test_bad_input(grid: Any, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MenuBids(torch.tensor(grid), torch.tensor(value))


def test_each_agent_has_sizes_of_its_own() -> None:
    """The second menu is shorter; 2 for 3.0 is best up to a price of 1.5, and the whole of 4 for 5.0 up to 1.0."""
    size = torch.tensor([[2.0, 4.0], [1.0, float("inf")]])
    bids = MenuBids(size, torch.tensor([[3.0, 5.0], [1.0, 9.0]]))
    assert bids.reservation_price().tolist() == [1.5, 1.0]
    for price, demand in ((1.6, [0, 0]), (1.5, [2, 0]), (1.01, [2, 0]), (1.0, [4, 1]), (0.0, [4, 1])):
        assert bids.demand(torch.full((2,), price)).tolist() == demand
    assert bids.utility(torch.tensor([3.9, 1e9])).tolist() == [3.0, 1.0]
    assert [c for c in check_bids(bids, most=6.0, points=61) if not c.passed] == []


def test_menus_that_fall_are_repaired_in_words() -> None:
    with pytest.warns(UserWarning, match="1 of 2 menus fall somewhere"):
        bids = MenuBids.from_measured(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([[0.5, 0.4, 0.9], [0.1, 0.1, 0.2]]))
    assert bids.value.tolist() == torch.tensor([[0.5, 0.5, 0.9], [0.1, 0.1, 0.2]]).tolist()
    with pytest.warns(UserWarning, match="1 of 1"):
        assert MenuBids.from_measured(torch.tensor([1.0]), torch.tensor([[-0.3]])).value.item() == 0
    with pytest.raises(InputError, match="from_measured"):
        MenuBids(torch.tensor([1.0, 2.0]), torch.tensor([[0.5, 0.4]]))


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_the_shadow_price_is_within_one_step_of_the_exact_choice(seed: int, n: int, m: int, ties: bool) -> None:
    """VCG's choice is the best there is, by mixed-integer programming; what is lost is at most one step's worth."""
    draw = np.random.default_rng(seed)
    size = torch.from_numpy(draw.uniform(0.1, 1, (n, m)).cumsum(-1))
    value = torch.from_numpy(draw.uniform(0, 1, (n, m)).cumsum(-1))
    if ties:
        size, value = (size * 2).ceil().cumsum(-1), (value * 2).ceil().cumsum(-1)
    cost, bids = torch.from_numpy(draw.uniform(0.5, 2, n)), MenuBids(size, value)
    supply = float(draw.uniform(0, 1.1)) * float((size[:, -1] * cost).sum())
    exact, posted = VCG()(bids, supply, cost), ShadowPrice()(bids, supply, cost)
    best, found = (float(bids.utility(sale.quantity).sum()) for sale in (exact, posted))
    tried = (
        [
            sum(float(bids.utility(torch.tensor(choice, dtype=torch.float64))[i]) for i in range(n))
            for choice in product(*[[0.0, *row] for row in size.tolist()])
            if float((torch.tensor(choice, dtype=torch.float64) * cost).sum()) <= supply
        ]
        if (m + 1) ** n <= 300
        else [best]
    )
    assert best == pytest.approx(max(tried), abs=1e-9)
    step = _largest_step_of_the_hull(size.numpy(), value.numpy())
    assert best - step - 1e-9 <= found <= best + 1e-9


def _largest_step_of_the_hull(size: Any, value: Any) -> float:
    """The most that one step between corners of a menu's upper concave hull is worth."""
    largest = 0.0
    for x, y in zip(size, value, strict=True):
        corners = [(0.0, 0.0)]
        for point in zip(x, y, strict=True):
            while len(corners) > 1 and _slope(corners[-2], point) >= _slope(corners[-2], corners[-1]):
                corners.pop()
            corners.append(point)
        largest = max(largest, *(b[1] - a[1] for a, b in pairwise(corners)))
    return largest


def _slope(a: Any, b: Any) -> float:
    return float((b[1] - a[1]) / (b[0] - a[0]))


def test_what_is_paid_for_levels_by_hand() -> None:
    """Two places are sold to two agents.

    A: 1 place 5, 2 places 7. B: 1 place 4, 2 places 6. Best is one each, 9. Without A, B had both: 6 instead of 4, so
    that A pays 2; without B, A had both: 7 instead of 5, and B pays 2.
    """
    bids = MenuBids(torch.tensor([1.0, 2.0]), torch.tensor([[5.0, 7.0], [4.0, 6.0]], dtype=torch.float64))
    sale = VCG()(bids, 2.0)
    assert sale.quantity.tolist() == [1.0, 1.0]
    assert sale.payment is not None
    assert sale.payment.tolist() == pytest.approx([2.0, 2.0])


def test_more_menus_than_can_be_chosen_exactly_are_refused() -> None:
    with pytest.raises(RequirementError, match=r"at most 2 agents .* 3 were given, which ShadowPrice clears"):
        VCG(exact=2)(random(3, 0), 100.0)
