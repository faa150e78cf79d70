"""Every curve is drawn from frames alone, of markets of any size and with whatever numbers a market can have."""

from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from walras.experiments.dashboard.pictures import charts

Draw = Callable[..., str]
Agents = Callable[..., pd.DataFrame]
ROUNDS = pd.DataFrame(
    {"round": [1, 2, 3], "budget": [0.9, 0.7, 0.5], "used": [0.9, 0.7, 0.5], "price": [0.0, np.inf, 2.0]}
)


@pytest.mark.parametrize("draw", [charts.price_path, lambda rounds, unit: charts.budget_path(rounds)])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_rounds_are_drawn_from_the_first_on(draw: Draw, rows: int) -> None:
    ElementTree.fromstring(draw(ROUNDS.head(rows), "nats"))


@pytest.mark.parametrize("draw", [charts.lorenz, lambda a: charts.wealth(a, "n"), lambda a: charts.bids(a, "n")])
@pytest.mark.parametrize("change", [{}, {"wealth": -1.0}, {"value": 0.0}, {"quantity": 0.0}])
def test_agents_are_drawn_whatever_they_have(draw: Draw, change: dict[str, float], agents: Agents) -> None:
    ElementTree.fromstring(draw(agents().assign(**change)))


def test_bids_tell_who_has_a_place(agents: Agents) -> None:
    assert "(59 of 60 agents)" in charts.bids(agents(), "nats")


def test_long_histories_are_thinned_and_keep_both_ends() -> None:
    frame = pd.DataFrame({"round": range(1, 5001)})
    thin = charts.thinned(frame)
    assert len(thin) <= charts.LONGEST
    assert thin["round"].iloc[[0, -1]].tolist() == [1, 5000]
