"""A market is a Mesa model: batch runs end, and seeds come as Mesa hands them on."""

import inspect
from typing import Any

import mesa
import numpy as np
import pytest
from mesa.batchrunner import batch_run

from walras.agents import Random
from walras.errors import InputError
from walras.market import ComputeMarket

MOST_LINES = 40


def test_batch_run_plays_every_round_once(floor: Any) -> None:
    class Market(ComputeMarket):
        """From keywords alone, as batch_run needs it."""

        def __init__(self, budget: float = 0.5, rounds: int = 1, seed: Any = None, rng: Any = None) -> None:
            given: ComputeMarket = floor.market(floor.rising())
            super().__init__(
                floor.calibration, given.valuation, given.mechanism, [budget] * rounds, seed=seed, rng=rng, reentry=True
            )

    found = batch_run(
        Market, {"budget": [0.5, 0.4], "rounds": [3], "seed": [None]}, data_collection_period=1, display_progress=False
    )
    assert [row["round"] for row in found] == [1, 2, 3] * 2
    assert [row["budget"] for row in found] == [0.5] * 3 + [0.4] * 3
    assert all(row["price"] > 0 for row in found)


def test_seeds(floor: Any) -> None:
    def values(**seeds: Any) -> list[float]:
        market = floor.market(Random(), **seeds)
        market.step()
        return list(market.ledger.value)

    assert values() == values(seed=None, rng=None) == values(seed=0) == values(rng=0)
    assert values(seed=3) == values(rng=3) == values(seed=np.int64(3)) != values()
    assert values(rng=np.random.default_rng(3)) == values(rng=np.random.default_rng(3)) != values(seed=3)
    for wrong in (-1, True, "three", 0.5):
        with pytest.raises(InputError, match=f"seed is {wrong!r}; it must be a whole number of at least 0"):
            values(seed=wrong)
    with pytest.raises(InputError, match="seed is 1 beside rng 2; give one of the two"):
        values(seed=1, rng=2)


def test_no_method_is_long() -> None:
    """What one recipe needs is a phase of its own, never a flag of the market."""
    assert issubclass(ComputeMarket, mesa.Model)
    members = [*vars(ComputeMarket).values()]
    own: list[Any] = [member for member in members if inspect.isfunction(member)]
    own += [member.fget for member in members if isinstance(member, property)]
    assert max(len(inspect.getsource(method).splitlines()) for method in own) <= MOST_LINES
