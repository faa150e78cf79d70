"""How the budget of a market moves over its rounds."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from walras.errors import InputError
from walras.escaping import shown
from walras.files.contents import brief, read_text
from walras.market.naming import defined_at, naming
from walras.registry import Registry

_LARGEST = 2**22  # bytes of a file with a number per round


class Schedule(ABC):
    """Says what share of the dense network's compute may be used in each round, the last one being the budget.

    Concrete schedules are final frozen dataclasses.
    """

    name: ClassVar[str]

    @property
    def label(self) -> str:
        """How messages call it."""
        return type(self).__name__

    @abstractmethod
    def shares(self, budget: float, rounds: int) -> Sequence[float]:
        """A share above 0 and of at most 1 per round; the last one is the budget, or within rounding of it."""

    @final
    def path(self, budget: float, rounds: int) -> list[float]:
        """The share of every round, checked; the last one is exactly the budget.

        Raises:
            InputError: a budget that is no share, rounds that are no number of rounds, shares that do not fit them.
            UserCodeError: a schedule of the user's own raised an error.
        """
        budget = check_budget(budget)
        if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
            raise InputError(f"rounds is {shown(rounds)}; it must be a whole number of at least 1")
        with naming(f"schedule {self.label}", self):
            shares = [check_budget(share) for share in self.shares(budget, rounds)]
        if len(shares) != rounds or not math.isclose(shares[-1], budget, rel_tol=1e-6):
            last = f", the last of them {shares[-1]:g}" if shares else ""
            raise InputError(
                f"schedule {self.label}{defined_at(self)} has {len(shares)} numbers{last}; it must have one for each "
                f"of {rounds} rounds, the last of them {budget:g}"
            )
        return [*shares[:-1], budget]


@final
@dataclass(frozen=True)
class Linear(Schedule):
    """The budget falls in equal steps, from the whole network down to the final budget."""

    name: ClassVar[str] = "linear"

    def shares(self, budget: float, rounds: int) -> list[float]:
        """1 - (1 - budget) t / rounds in round t."""
        return [1 - (1 - budget) * (t + 1) / rounds for t in range(rounds)]


@final
@dataclass(frozen=True)
class Geometric(Schedule):
    """The same share of what is left is taken away in every round."""

    name: ClassVar[str] = "geometric"

    def shares(self, budget: float, rounds: int) -> list[float]:
        """budget^(t / rounds) in round t."""
        return [budget ** ((t + 1) / rounds) for t in range(rounds)]


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """The final budget holds from the first round on."""

    name: ClassVar[str] = "constant"

    def shares(self, budget: float, rounds: int) -> list[float]:
        """The budget."""
        return [budget] * rounds


@final
@dataclass(frozen=True)
class Step(Schedule):
    """The whole network may be used for a part of the rounds, and the budget holds from then on."""

    name: ClassVar[str] = "step"

    at: float = 0.5  # share of the rounds before the step

    def __post_init__(self) -> None:
        if not 0 <= self.at <= 1:
            raise InputError(f"at of schedule step is {self.at!r}; it must be a share of the rounds, from 0 to 1")

    def shares(self, budget: float, rounds: int) -> list[float]:
        """1, and then the budget, at the latest in the last round."""
        before = min(int(self.at * rounds), rounds - 1)
        return [1.0 if t < before else budget for t in range(rounds)]


@final
@dataclass(frozen=True)
class Cycle(Schedule):
    """The budget moves up and down between the whole network and the final budget, like a cosine."""

    name: ClassVar[str] = "cycle"

    period: float = 4.0  # rounds

    def __post_init__(self) -> None:
        if not 0 < self.period < math.inf:
            raise InputError(f"period of schedule cycle is {self.period!r}; it must be a number of rounds above 0")

    def shares(self, budget: float, rounds: int) -> list[float]:
        """Counted from the last round, which is at the bottom."""
        turns = [(rounds - 1 - t) / self.period for t in range(rounds)]
        return [budget + (1 - budget) * (1 - math.cos(2 * math.pi * turn)) / 2 for turn in turns]


@final
@dataclass(frozen=True)
class NumbersFile(Schedule):
    """The budget of every round stands in a text file, separated by white space or commas."""

    name: ClassVar[str] = "file"

    file: str

    @property
    def label(self) -> str:
        """Its path."""
        return repr(self.file)

    def shares(self, budget: float, rounds: int) -> list[float]:
        """The numbers of the file.

        Raises:
            InputError: the file cannot be read, or holds something else.
        """
        del budget, rounds
        try:
            return [float(word) for word in read_text(self.file, "schedule", _LARGEST).replace(",", " ").split()]
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"cannot read schedule {self.file!r}: {brief(error)}") from error


def numbers_file(text: str) -> NumbersFile | None:
    """The schedule of a file that a text names, FILE.txt or FILE.csv; None of any other text."""
    return NumbersFile(text) if Path(text).suffix in (".txt", ".csv") else None


SCHEDULES: Registry[Schedule] = Registry("schedule", Schedule, read=numbers_file)
for _schedule in (Linear, Geometric, Constant, Step, Cycle):
    SCHEDULES.add(_schedule)


def budget_path(budget: float, rounds: int, schedule: Schedule | str = "linear") -> list[float]:
    """The budget of every round by a schedule, given as an object or by name; see `Schedule.path`."""
    return SCHEDULES.make(schedule).path(budget, rounds)


def check_budget(budget: float) -> float:
    """Refuse what is no share of the dense network: it must lie above 0 and be at most 1."""
    number = isinstance(budget, (int, float, np.integer, np.floating)) and not isinstance(budget, bool)
    if not (number and 0 < budget <= 1):  # never true of NaN
        raise InputError(
            f"budget is {shown(budget)}; it must be a share of the dense model's compute, above 0 and at most 1"
        )
    return float(budget)
