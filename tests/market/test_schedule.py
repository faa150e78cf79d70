"""Budgets of the rounds."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from walras.errors import InputError, UnknownNameError
from walras.market import SCHEDULES, budget_path


def test_linear_takes_equal_steps() -> None:
    assert budget_path(0.2, 4, "linear") == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_geometric_takes_equal_shares() -> None:
    assert budget_path(0.0625, 4, "geometric") == pytest.approx([0.5, 0.25, 0.125, 0.0625])


def test_constant_begins_at_the_end() -> None:
    assert budget_path(0.3, 3, "constant") == [0.3] * 3


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("budget", [0.1, 0.7, 1 / 3, 1.0, np.float32(0.5)])
def test_every_path_falls_to_exactly_the_budget(schedule: str, budget: float) -> None:
    for rounds in (1, 2, 7):
        path = budget_path(budget, rounds, schedule)
        assert len(path) == rounds
        assert path[-1] == budget
        assert type(path[-1]) is float
        assert schedule == "cycle" or path == sorted(path, reverse=True)
        assert all(0 < b <= 1 for b in path)


@pytest.mark.parametrize("budget", [0, -0.5, 1.01, math.nan, math.inf, True, "0.5", None])
def test_a_budget_is_a_share(budget: Any) -> None:
    with pytest.raises(InputError, match=f"budget is {budget!r}; it must be a share"):
        budget_path(budget, 3)


@pytest.mark.parametrize("rounds", [0, -1, 2.0, True, None])
def test_rounds_are_counted(rounds: Any) -> None:
    with pytest.raises(InputError, match=f"rounds is {rounds!r}; it must be a whole number"):
        budget_path(0.5, rounds)


def test_a_step_falls_at_once_and_a_cycle_comes_back() -> None:
    assert budget_path(0.4, 5, "step") == [1, 1, 0.4, 0.4, 0.4]
    assert budget_path(0.4, 7, "cycle") == pytest.approx([1, 0.7, 0.4, 0.7, 1, 0.7, 0.4])


def test_budgets_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "path.txt"
    file.write_text("0.9, 0.5\n0.7")
    assert budget_path(0.7, 3, str(file)) == [0.9, 0.5, 0.7]
    with pytest.raises(InputError, match=r"has 3 numbers, the last of them 0\.7; .* for each of 4 rounds"):
        budget_path(0.7, 4, str(file))
    with pytest.raises(InputError, match=r"rounds, the last of them 0\.6"):
        budget_path(0.6, 3, str(file))
    file.write_text("0.9 much 0.7")
    with pytest.raises(InputError, match="cannot read schedule"):
        budget_path(0.7, 3, str(file))
    file.write_text("0.9 1.5 0.7")
    with pytest.raises(InputError, match=r"budget is 1\.5"):
        budget_path(0.7, 3, str(file))
    with pytest.raises(InputError, match="cannot read schedule"):
        budget_path(0.7, 3, str(tmp_path / "none.csv"))


def test_an_unknown_schedule_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown schedule 'liner'.*'linear'.*Known: constant, cycle, geom"):
        budget_path(0.5, 3, "liner")
