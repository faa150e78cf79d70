"""Sensitivity of the loss to the gates."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Gradient(Valuation):
    """A unit is worth the mean over samples of |d loss / d gate|: how removing it changes the loss, to first order.

    Michel et al. score attention heads so; units of every kind are scored alike here.
    """

    name: ClassVar[str] = "gradient"
    unit: ClassVar[str] = "loss"
    source: ClassVar[str] = "Michel et al. 2019, arXiv 1905.10650, equation 2"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Mean absolute gradient [n]; one forward and backward pass per batch."""
        total, samples = torch.zeros_like(gates, dtype=torch.float64), 0
        for gradient in calibration.sample_gradients(gates, generator):
            total += gradient.abs().sum(0, dtype=torch.float64)
            samples += len(gradient)
        return total / samples
