"""The control that knows nothing: seeded, and blind to what a unit costs."""

from collections import Counter
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare

from walras.agents import Calibration, Random
from walras.models.objective import GivenLoss

COSTS = np.array([1e-4, 0.01, 0.2, 0.7899])
DRAWS = 4800


def values(bert: Any, seed: int, draws: int, cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """[draws, n] from one generator, of the first n units."""
    every = np.concatenate([cost, np.ones(len(bert.units) - len(cost))])
    calibration = Calibration(bert.model, bert.units, GivenLoss(lambda *_: torch.ones(())), bert.batches, every)
    generator = torch.Generator().manual_seed(seed)
    gates = torch.ones(len(every), dtype=torch.float64)
    return np.stack([Random()(calibration, gates, generator).numpy()[: len(cost)] for _ in range(draws)])


def chance(order: NDArray[np.int64]) -> float:
    """Probability of orders [draws, n] at least this uneven, were all permutations equally likely."""
    seen = Counter(map(tuple, order.tolist()))
    return float(chisquare([seen[p] for p in permutations(range(order.shape[1]))]).pvalue)


def test_the_seed_decides(bert: Any) -> None:
    assert np.array_equal(values(bert, 5, 3, COSTS), values(bert, 5, 3, COSTS))
    assert not np.array_equal(values(bert, 5, 3, COSTS), values(bert, 6, 3, COSTS))
    first, second, _ = values(bert, 5, 3, COSTS)
    assert not np.array_equal(first, second)  # drawn anew each round


def test_every_order_in_value_per_cost_is_equally_likely(bert: Any) -> None:
    drawn = values(bert, 0, DRAWS, COSTS)
    assert ((drawn >= 0) & (drawn < COSTS)).all()
    assert chance(np.argsort(drawn / COSTS, axis=1)) > 0.001
    assert chance(np.argsort(drawn, axis=1)) < 1e-9  # the values themselves are ordered by cost: the test can fail


def test_the_global_seed_is_left_alone(bert: Any) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    values(bert, 0, 3, COSTS)
    assert torch.equal(torch.rand(1), expected)
