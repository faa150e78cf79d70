"""Empirical Fisher information of the gates."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Fisher(Valuation):
    """A unit is worth the mean over samples of (d loss / d gate)^2: twice the loss that removing it costs.

    This holds to second order. Around a network whose mean gradient vanishes, removing unit i costs H_ii / 2, and the
    Hessian of the gates is approximated by the Fisher information (in Kwon et al. from mini-batch gradients, here from
    each sample's own).
    """

    name: ClassVar[str] = "fisher"
    unit: ClassVar[str] = "squared gradient of the loss"
    source: ClassVar[str] = "Theis et al. 2018, arXiv 1801.05787; Kwon et al. 2022, arXiv 2204.09656"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Fisher information [n]; one forward and backward pass per batch."""
        total, samples = torch.zeros_like(gates, dtype=torch.float64), 0
        for gradient in calibration.sample_gradients(gates, generator):
            total += gradient.square().sum(0, dtype=torch.float64)
            samples += len(gradient)
        return total / samples
