"""Menus of levels: cleared as well as every choice there is, by the same values."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.market.phases.levels.conftest import usage
from walras.agents import Uniform
from walras.errors import InputError
from walras.market import Menus
from walras.market.phases.levels.level_search import mean_loss
from walras.market.phases.levels.menus import rising
from walras.mechanisms import VCG, ShadowPrice
from walras.models.levels import NetworkLevels, equal_steps
from walras.models.resources.resource import Usage


@pytest.mark.parametrize("budget", [0.4, 0.7])
@pytest.mark.filterwarnings("ignore:.*menus fall somewhere")
def test_the_choice_is_the_best_by_these_values(budget: float, copied: Any) -> None:
    """Worths are looked at once more, one sub-layer at a time; VCG finds the best choice, and the price one near it."""
    levels = NetworkLevels.from_model(
        copied.model, usage(copied), copied.calibration.batches, equal_steps(3)
    )  # fmt: skip
    worth = list[np.ndarray]()
    for i, sublayer in enumerate(levels.sublayers):
        loss = list[float]()
        for level in range(len(sublayer)):
            choice = [*levels.full]
            choice[i] = level
            with levels.placed(copied.calibration.model, choice):
                loss.append(mean_loss(copied.calibration, range(2), divergence=True))
        worth.append(np.maximum.accumulate(np.maximum(loss[0] - np.array(loss), 0)))
    choices = [c for c in product(*map(range, map(len, levels.sublayers))) if levels.cost(c) <= budget * levels.dense]
    best = max(sum(w[i] for w, i in zip(worth, c, strict=True)) for c in choices)
    found = dict[str, float]()
    for rule in (VCG(), ShadowPrice()):
        market = copied.market(
            Uniform(), rule, budgets=(budget,), phases=[Menus(levels=3, tokens=999)], resources=(usage(copied),)
        )
        market.step()
        assert market.rounds[-1].used <= budget
        keep = market.ledger.quantity > 0
        counts = [int(keep[s.site.units].sum()) for s in levels.sublayers]
        choice = [s.kept.index(count) for s, count in zip(levels.sublayers, counts, strict=True)]
        found[type(rule).__name__] = sum(float(w[i]) for w, i in zip(worth, choice, strict=True))
    assert found["VCG"] == pytest.approx(best, rel=1e-4)
    largest = max(float(np.diff(w).max()) for w in worth)
    assert best - 2 * largest <= found["ShadowPrice"] <= best * (1 + 1e-4)


@pytest.mark.filterwarnings("ignore:.*menus fall somewhere")
def test_of_levels_that_cost_the_same_the_highest_is_offered(copied: Any) -> None:
    """A latency rises in stairs: a sub-layer of one row or of three takes as long, and a fourth takes longer."""
    steps = np.zeros(len(copied.units))
    for site in copied.units.sites:
        steps[site.units] = np.arange(len(site)) % 3 == 0
    stairs = Usage("stairs", "ms", copied.units, np.zeros(len(steps)), steps)
    market = copied.market(
        Uniform(), ShadowPrice(), budgets=(0.7,), phases=[Menus(levels=99, tokens=999)], resources=(stairs,)
    )
    market.step()
    keep = market.ledger.quantity > 0
    counts = [(int(keep[site.units].sum()), len(site)) for site in copied.units.sites]
    assert sum(-(-count // 3) for count, _ in counts) <= 0.7 * steps.sum()
    assert all(count % 3 == 0 or count == most for count, most in counts)


def test_rising_levels() -> None:
    assert rising(np.array([0.0, 1, 1, 2, 1.5, 3, 3])).tolist() == [0, 2, 4, 6]
    assert rising(np.zeros(3)).tolist() == [2]


def test_settings_and_budgets_that_make_no_sense(copied: Any) -> None:
    for settings in ({"levels": 0}, {"tokens": 0}, {"lowest": 1.0}, {"lowest": -0.1}):
        with pytest.raises(InputError, match=f"{next(iter(settings))} is"):
            Menus(**settings)
    market = copied.market(Uniform(), budgets=(0.3,), phases=[Menus(lowest=0.9)], resources=(usage(copied),))
    with pytest.raises(InputError, match=r"less than the lowest levels of all sub-layers take, 0.* smaller `lowest`"):
        market.step()
