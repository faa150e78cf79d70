"""The last norm is re-fitted behind the repair, on a copy, and travels with the run's weights."""

import math
from typing import Any

import pytest

from walras.errors import InputError, UnknownNameError
from walras.market import RefitLastNorm, RepairWeights
from walras.market.phases import DEFAULT_PHASES, in_order


def test_it_comes_behind_a_repair() -> None:
    names = [phase.name for phase in in_order(DEFAULT_PHASES, [RefitLastNorm(), RepairWeights("means")])]
    assert names[-3:] == ["settle", "repair", "refit"]
    with pytest.raises(UnknownNameError, match="phase that RefitLastNorm follows"):
        in_order(DEFAULT_PHASES, [RefitLastNorm()])


@pytest.mark.parametrize("ridge", [0.0, -1.0, math.inf, math.nan])
def test_a_pull_that_is_none_is_refused(ridge: float) -> None:
    with pytest.raises(InputError, match=r"ridge is .* it must be a number above 0"):
        RefitLastNorm(ridge)


def test_the_dense_network_itself_is_refused(floor: Any) -> None:
    market = floor.market(floor.rising(), budgets=(0.5,))
    with pytest.raises(InputError, match="must be a copy of the dense one"):
        RefitLastNorm().prepare(market)
