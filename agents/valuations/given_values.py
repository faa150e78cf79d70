"""Values that are known beforehand."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import TradedUnits
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class GivenValues(Valuation):
    """Every unit is worth what was given, whatever the others do: values add up, and no network is looked at.

    With `noise` s above 0 the values are drawn anew in every round: each times exp(s z - s^2 / 2) with z a standard
    normal draw of its own, so that the given value is the mean.
    """

    name: ClassVar[str] = "given"
    unit: ClassVar[str] = "given value"

    values: tuple[float, ...]
    noise: float = 0.0

    def __call__(self, calibration: TradedUnits, gates: Tensor, generator: torch.Generator) -> Tensor:
        """The values [n] of this round."""
        value = torch.tensor(self.values, dtype=torch.float64)
        if self.noise:
            draw = torch.randn(len(value), generator=generator, dtype=torch.float64)
            value = value * (self.noise * draw - self.noise**2 / 2).exp()
        return value.to(gates.device)

    def of_units(self, units: TradedUnits, gates: Tensor, generator: torch.Generator) -> Tensor:
        """The same."""
        return self(units, gates, generator)
