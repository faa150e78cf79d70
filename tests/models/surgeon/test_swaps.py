"""The local search of OSSCAR: by hand, and against every set that could be kept."""

from itertools import combinations

import numpy as np
import pytest
import torch

from tests.models.surgeon.test_structured_obs import fitted_error, problem
from walras.models.surgeon import StructuredOBS
from walras.models.surgeon.swaps import _with_best, _without_cheapest, swapped


def mask(units: int, kept: list[int]) -> np.ndarray:
    return np.isin(np.arange(units), kept)


@pytest.mark.parametrize("block", [1, 2])
def test_costs_and_savings_are_those_of_a_fit_without_or_with_the_unit(block: int) -> None:
    surgeon = StructuredOBS.from_moment(*problem(4, 7 * block, seed=4), block)
    start = [0, 2, 3, 5]
    without = {u: fitted_error(surgeon, [v for v in start if v != u]) for u in start}
    left = np.flatnonzero(_without_cheapest(surgeon, mask(7, start), 1)).tolist()
    assert left == [v for v in start if v != min(without, key=without.__getitem__)]
    coming = {u: fitted_error(surgeon, [*start, u]) for u in (1, 4, 6)}
    found = np.flatnonzero(_with_best(surgeon, mask(7, start), 1)).tolist()
    assert found == sorted([*start, min(coming, key=coming.__getitem__)])


def test_a_swap_by_hand() -> None:
    """Three features that do not touch each other: unit 2 writes most and is out; the first exchange brings it in."""
    surgeon = StructuredOBS.from_moment(torch.tensor([[1.0, 2.0, 3.0]]), torch.eye(3))
    assert swapped(surgeon, mask(3, [0, 1]), 1, 20).tolist() == [False, True, True]
    assert swapped(surgeon, mask(3, [0, 1]), 1, 0).tolist() == [True, True, False]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [1, 3])
def test_the_error_never_rises_and_the_number_stays(count: int, seed: int) -> None:
    surgeon = StructuredOBS.from_moment(*problem(3, 8, seed=seed))
    drawn = np.random.default_rng(seed)
    start = np.isin(np.arange(8), drawn.permutation(8)[:4])
    found = swapped(surgeon, start, count, 20)
    assert found.sum() == 4
    best = min(fitted_error(surgeon, list(c)) for c in combinations(range(8), 4))
    assert best - 1e-9 <= surgeon.error(found) <= surgeon.error(start) + 1e-12


def test_nothing_to_exchange() -> None:
    surgeon = StructuredOBS.from_moment(*problem(3, 4))
    for kept in ([], [0, 1, 2, 3]):
        assert swapped(surgeon, mask(4, kept), 2, 5).tolist() == mask(4, kept).tolist()
