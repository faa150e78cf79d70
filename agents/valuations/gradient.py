"""Sensitivity of the loss to the gates."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.valuations.calibration import Calibration
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Gradient(Valuation):
    """Mean over samples of |d loss / d gate|: the change of loss from leaving, to first order.

    Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?" (arXiv 1905.10650), equation 2, for
    blocks of FFN neurons as well as heads.
    """

    unit: ClassVar[str] = "loss"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Mean absolute gradient [n]; one forward and backward pass a batch."""
        total, samples = torch.zeros_like(gates, dtype=torch.float64), 0
        for gradient in calibration.sample_gradients(gates, generator):
            total += gradient.abs().sum(0, dtype=torch.float64)
            samples += len(gradient)
        return total / samples
