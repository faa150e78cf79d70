"""Budgets of the rounds."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest

from walras.errors import InputError, UnknownNameError, UserCodeError
from walras.market import SCHEDULES, Schedule, budget_path
from walras.market.schedule import Cycle, NumbersFile, Step


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


@final
@dataclass(frozen=True)
class Given(Schedule):
    """Answers with what it was given."""

    numbers: Any = ()
    name: ClassVar[str] = "given"

    def shares(self, budget: float, rounds: int) -> Any:
        return self.numbers


def test_schedules_by_name_with_parameters() -> None:
    assert SCHEDULES.make("cycle:period=2") == Cycle(2)
    assert budget_path(0.4, 5, "Cycle:period=2") == pytest.approx([0.4, 1, 0.4, 1, 0.4])
    assert budget_path(0.4, 4, Step(0.25)) == [1, 0.4, 0.4, 0.4]
    assert budget_path(0.4, 3, "step:at=1") == [1, 1, 0.4]
    assert SCHEDULES.make("path.txt") == NumbersFile("path.txt")
    assert [SCHEDULES.spelled(given) for given in ("LINEAR", "path.txt", Cycle(3.5))] == [
        "linear", "path.txt", "cycle:period=3.5",
    ]  # fmt: skip
    assert all(entry.about.endswith(".") and len(entry.about.split()) > 6 for entry in SCHEDULES.describe())


def test_a_schedule_of_ones_own(tmp_path: Path) -> None:
    assert budget_path(0.5, 3, Given((0.9, 0.7, 0.5))) == [0.9, 0.7, 0.5]
    file = tmp_path / "own.py"
    file.write_text(OWN)
    assert budget_path(0.5, 3, f"{file}:Sudden") == [0.9, 0.9, 0.5]
    assert budget_path(0.5, 3, f"{file}:Sudden:first=0.8") == [0.8, 0.8, 0.5]
    with pytest.raises(UserCodeError, match=rf"schedule Broken failed \({file}, line \d+\): ZeroDivisionError"):
        budget_path(0.5, 3, f"{file}:Broken")


OWN = """
from dataclasses import dataclass
from walras.market import Schedule

@dataclass(frozen=True)
class Sudden(Schedule):
    \"\"\"A first share until the last round.\"\"\"
    first: float = 0.9
    name = "sudden"
    def shares(self, budget, rounds):
        return [self.first] * (rounds - 1) + [budget]

@dataclass(frozen=True)
class Broken(Schedule):
    name = "broken"
    def shares(self, budget, rounds):
        return [1 / 0]
"""


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0.9, 0.5), r"schedule Given .* has 2 numbers, the last of them 0\.5; it must have one for each of 3 rounds"),
        ((0.9, 0.7, 0.6), r"the last of them 0\.6; .* the last of them 0\.5"),
        ((), "schedule Given .* has 0 numbers; it must have one for each of 3"),
        ((0.9, math.nan, 0.5), "budget is nan"),
        ((0.9, "0.7", 0.5), "budget is '0.7'"),
    ],
)
def test_schedules_that_do_not_fit(numbers: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        budget_path(0.5, 3, Given(numbers))


def test_parameters_that_make_no_sense() -> None:
    for wrong, message in ((lambda: Cycle(0), "period of schedule cycle is 0"), (lambda: Step(1.5), r"at .* is 1\.5")):
        with pytest.raises(InputError, match=message):
            wrong()
    with pytest.raises(UnknownNameError, match="parameter of schedule cycle 'periode'"):
        budget_path(0.5, 3, "cycle:periode=3")
