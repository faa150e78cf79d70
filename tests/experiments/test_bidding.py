"""Strategies from the text of a setting."""

from collections.abc import Callable

import pytest

from walras.agents import EXP3, Hedge, Mixture, Shading, Strategy, Truthful
from walras.errors import InputError
from walras.experiments.bidding import check_strategy, find_strategy


def test_one_or_several_with_shares() -> None:
    assert find_strategy("shading") == Shading()
    mixed = find_strategy("truthful=0.75, shading=0.25")
    assert isinstance(mixed, Mixture)
    assert (mixed.parts, mixed.shares) == ((Truthful(), Shading()), (0.75, 0.25))


@pytest.mark.parametrize("make", [Hedge, lambda: Mixture((Truthful(), EXP3()), (0.9, 0.1))])
def test_a_learner_needs_rounds(make: Callable[[], Strategy]) -> None:
    with pytest.raises(InputError, match=r"learns from what rounds bring, and there is 1 round; give it --rounds 2"):
        check_strategy(make(), 1)
    check_strategy(make(), 2)
    check_strategy(Truthful(), 1)
