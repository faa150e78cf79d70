"""The interface of everything that says what a unit is worth."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from walras.agents.valuations.calibration import Calibration


class Valuation(ABC):
    """Values of all units under the present gates. Concrete valuations are final frozen dataclasses.

    `unit` states what a value is counted in; all money of a market is in this unit, and money of two valuations is
    never compared.
    """

    unit: ClassVar[str]

    @abstractmethod
    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Value [n] of every unit in float64, at least 0, under gates [n]; also of units whose gate is now 0."""
