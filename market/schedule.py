"""How the budget shrinks over the rounds of a market."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from walras.errors import InputError, UnknownNameError
from walras.models import Site


@final
@dataclass(frozen=True)
class Session:
    """One clearing: the supply, and the sub-layer whose outcome is final; None where everybody's is."""

    budget: float
    site: Site | None = None
    further: tuple[float, ...] = ()  # supplies of further resources

    @property
    def budgets(self) -> tuple[float, ...]:
        """Supplies of all resources."""
        return (self.budget, *self.further)


def sessions(budgets: Sequence[float], sites: Sequence[Site], further: Sequence[Sequence[float]] = ()) -> list[Session]:
    """A session for every budget or, given sub-layers, one for each of them from the bottom to the top.

    Of a sub-layer's session the units below have settled already; those above bid as well, so that they count in the
    price, and trade when it is their turn, at values taken anew (as in K-prune: Park et al., ICLR 2024). `further`
    are the budgets of further resources, each as long as `budgets`.
    """
    columns = zip(budgets, *further, strict=True)
    return [Session(first, site, tuple(others)) for first, *others in columns for site in (sites or (None,))]


def linear(budget: float, rounds: int) -> list[float]:
    """Equal steps from the whole down to the budget."""
    return [1 - (1 - budget) * (t + 1) / rounds for t in range(rounds)]


def geometric(budget: float, rounds: int) -> list[float]:
    """The same share of what is left goes every round."""
    return [budget ** ((t + 1) / rounds) for t in range(rounds)]


def constant(budget: float, rounds: int) -> list[float]:
    """The final budget from the first round on."""
    return [budget] * rounds


def step(budget: float, rounds: int) -> list[float]:
    """Everything for the first half of the rounds, then the budget at once."""
    return [1.0 if t < rounds // 2 else budget for t in range(rounds)]


def cycle(budget: float, rounds: int) -> list[float]:
    """Up and down between the whole and the budget like a cosine, four rounds a turn, ending at the budget."""
    turns = [(rounds - 1 - t) / PERIOD for t in range(rounds)]
    return [budget + (1 - budget) * (1 - math.cos(2 * math.pi * turn)) / 2 for turn in turns]


PERIOD = 4  # rounds
SCHEDULES: dict[str, Callable[[float, int], list[float]]] = {
    schedule.__name__: schedule for schedule in (linear, geometric, constant, step, cycle)
}


def budget_path(budget: float, rounds: int, schedule: str = "linear") -> list[float]:
    """Supply of every round, the last one exactly the budget (a share of the dense model's compute).

    `schedule` is one of `SCHEDULES`, or a text file (.txt, .csv) with a number for every round.

    Raises:
        InputError: a budget that is no share, rounds that are no number of rounds, a file that does not fit them.
        UnknownNameError: no such schedule.
    """
    if Path(schedule).suffix in (".txt", ".csv"):
        return _from_file(Path(schedule), check_budget(budget), rounds)
    if schedule not in SCHEDULES:
        raise UnknownNameError("schedule", schedule, SCHEDULES, "Your own: a .txt file with a number for every round.")
    budget = check_budget(budget)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise InputError(f"rounds is {rounds!r}; it must be a whole number of at least 1")
    return [*SCHEDULES[schedule](budget, rounds)[:-1], budget]


def _from_file(path: Path, budget: float, rounds: int) -> list[float]:
    """Numbers of a file, separated by white space or commas."""
    try:
        numbers = [float(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read schedule {str(path)!r}: {error}") from error
    if len(numbers) != rounds or numbers[-1] != budget:
        last = f", the last of them {numbers[-1]:g}" if numbers else ""
        raise InputError(
            f"schedule {str(path)!r} has {len(numbers)} numbers{last}; it must have one for each of {rounds} rounds, "
            f"the last of them {budget:g}"
        )
    return [check_budget(number) for number in numbers]


def check_budget(budget: float) -> float:
    """Refuse what is no share of the dense model: it must lie above 0 and be at most 1."""
    number = isinstance(budget, (int, float, np.integer, np.floating)) and not isinstance(budget, bool)
    if not (number and 0 < budget <= 1):  # never true of NaN
        raise InputError(
            f"budget is {budget!r}; it must be a share of the dense model's compute, above 0 and at most 1"
        )
    return float(budget)
