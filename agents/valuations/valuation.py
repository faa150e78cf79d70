"""The interface of everything that says what a unit is worth."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, TradedUnits


class Valuation(ABC):
    """What every unit of a network is worth under the present gates.

    Concrete valuations are final frozen dataclasses, whose fields are their parameters. `unit` states what a value is
    counted in; all money of a market is in this unit, and money of two valuations is never compared.
    """

    unit: ClassVar[str]

    @abstractmethod
    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Value [n] of every unit in float64, at least 0, under gates [n]; also of units whose gate is now 0.

        Args:
            calibration: the network with its units, what they cost, a loss and data.
            gates: of the round so far, on the network's device.
            generator: for whatever is random, on the CPU.
        """

    def of_units(self, units: TradedUnits, gates: Tensor, generator: torch.Generator) -> Tensor:
        """The same of whatever a market trades; a valuation that looks at no network overrides this as well.

        Raises:
            InputError: there is no network behind the units.
        """
        return self(units.network(f"valuation {type(self).__name__}"), gates, generator)
