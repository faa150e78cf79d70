"""What happens to a market from outside, in the middle of its rounds."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from walras.agents import Calibration
from walras.errors import InputError, UnknownNameError
from walras.market.ledger import Ledger


class Struck(Protocol):
    """What a shock may change: a `ComputeMarket` before a round."""

    calibration: Calibration
    ledger: Ledger
    may_bid: NDArray[np.bool_]


@dataclass(frozen=True)
class Shock(ABC):
    """Strikes before round `at`, counted from 1."""

    at: int

    def __post_init__(self) -> None:
        if isinstance(self.at, bool) or not isinstance(self.at, int) or self.at < 1:
            raise InputError(f"a shock strikes before round {self.at!r}; it must be a whole number of at least 1")

    @abstractmethod
    def strike(self, market: Struck) -> None:
        """Change the market."""

    @property
    @abstractmethod
    def told(self) -> str:
        """What happens, in a few words; the table of rounds has it."""


@final
@dataclass(frozen=True)
class Disable(Shock):
    """Units break: they lose what they have, and never bid again. `units` are names such as L3.H7."""

    units: Sequence[str] = ()

    def strike(self, market: Struck) -> None:
        """Their gates close before the others are valued.

        Raises:
            UnknownNameError: a unit that there is not.
        """
        names = list(market.ledger.name)
        for unit in self.units:
            if unit not in names:
                raise UnknownNameError("unit", unit, names)
        hit = np.isin(names, list(self.units))
        market.may_bid = market.may_bid & ~hit
        market.ledger.quantity = np.where(hit, 0.0, market.ledger.quantity)

    @property
    def told(self) -> str:
        """Which break."""
        return f"disabled {', '.join(self.units)}"


@final
@dataclass(frozen=True)
class NewTask(Shock):
    """From now on units are valued by other data, or another loss, on the same network."""

    calibration: Calibration | None = None
    name: str = "another task"

    def strike(self, market: Struck) -> None:
        """Values of the next round are the first of the new task.

        Raises:
            InputError: a calibration of another network, or none.
        """
        if self.calibration is None or self.calibration.model is not market.calibration.model:
            raise InputError(f"the new task, {self.name}, must be a calibration of the network that is traded on")
        market.calibration = self.calibration

    @property
    def told(self) -> str:
        """Which task begins."""
        return f"{self.name} begins"
