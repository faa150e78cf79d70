"""How the budget shrinks over the rounds of a market."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


SCHEDULES: dict[str, Callable[[float, int], list[float]]] = {
    schedule.__name__: schedule for schedule in (linear, geometric, constant)
}


def budget_path(budget: float, rounds: int, schedule: str = "linear") -> list[float]:
    """Supply of every round, the last one exactly the budget (a share of the dense model's compute)."""
    if schedule not in SCHEDULES:
        raise UnknownNameError("schedule", schedule, SCHEDULES)
    budget = check_budget(budget)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise InputError(f"rounds is {rounds!r}; it must be a whole number of at least 1")
    return [*SCHEDULES[schedule](budget, rounds)[:-1], budget]


def check_budget(budget: float) -> float:
    """Refuse what is no share of the dense model: it must lie above 0 and be at most 1."""
    number = isinstance(budget, (int, float, np.integer, np.floating)) and not isinstance(budget, bool)
    if not (number and 0 < budget <= 1):  # never true of NaN
        raise InputError(
            f"budget is {budget!r}; it must be a share of the dense model's compute, above 0 and at most 1"
        )
    return float(budget)
