"""What happens to a market from outside, in the middle of its rounds."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from walras.agents import Calibration, TradedUnits
from walras.errors import InputError, UnknownNameError
from walras.market.ledger import Ledger
from walras.registry import Registry


class Struck(Protocol):
    """What a shock may change: a `ComputeMarket` before a round."""

    calibration: TradedUnits
    ledger: Ledger
    may_bid: NDArray[np.bool_]


@dataclass(frozen=True)
class Shock(ABC):
    """Strikes before round `at`, counted from 1."""

    at: int

    def __post_init__(self) -> None:
        if isinstance(self.at, bool) or not isinstance(self.at, int) or self.at < 1:
            raise InputError(f"a shock strikes before round {self.at!r}; it must be a whole number of at least 1")

    def prepare(self, market: Struck) -> None:
        """Refuse a market that it cannot strike; called once, before the first round."""
        del market

    @abstractmethod
    def strike(self, market: Struck) -> None:
        """Change the market."""

    @property
    @abstractmethod
    def told(self) -> str:
        """What happens, in a few words; it stands in the table of rounds."""


@final
@dataclass(frozen=True)
class Disable(Shock):
    """Units break: they lose what they have, and never bid again.

    `units` are names such as L3.H7; in a text they are joined by +.
    """

    units: Sequence[str] | str = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The units one by one."""
        return tuple(self.units.split("+") if isinstance(self.units, str) else self.units)

    def prepare(self, market: Struck) -> None:
        """Refuse units that are not there.

        Raises:
            UnknownNameError: as said.
        """
        known = [str(name) for name in market.ledger.name]
        for unit in self.names:
            if unit not in known:
                raise UnknownNameError("unit", unit, known)

    def strike(self, market: Struck) -> None:
        """Their gates close before the others are valued."""
        hit = np.isin(market.ledger.name, self.names)
        market.may_bid = market.may_bid & ~hit
        market.ledger.quantity = np.where(hit, 0.0, market.ledger.quantity)

    @property
    def told(self) -> str:
        """Which units break."""
        return f"disabled {', '.join(self.names)}"


@final
@dataclass(frozen=True)
class NewTask(Shock):
    """From now on units are valued by other data, or another loss, on the same network."""

    calibration: Calibration | None = None
    name: str = "another task"

    def prepare(self, market: Struck) -> None:
        """Refuse a calibration of another network, or none.

        Raises:
            InputError: as said.
        """
        self._calibration(market)

    def strike(self, market: Struck) -> None:
        """Values of the next round are the first of the new task."""
        market.calibration = self._calibration(market)

    @property
    def told(self) -> str:
        """Which task begins."""
        return f"{self.name} begins"

    def _calibration(self, market: Struck) -> Calibration:
        traded = market.calibration.network(f"shock {type(self).__name__}")
        if self.calibration is None or self.calibration.model is not traded.model:
            raise InputError(f"the new task, {self.name}, must be a calibration of the network that is traded on")
        return self.calibration


SHOCKS: Registry[Shock] = Registry("shock", Shock)
SHOCKS.add(Disable, "disable")
SHOCKS.add(NewTask, "task")
