"""Size of the weights with which a unit writes."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.valuations.calibration import Calibration
from walras.agents.valuations.valuation import Valuation
from walras.models import output_weights


@final
@dataclass(frozen=True)
class Magnitude(Valuation):
    """Frobenius norm of a unit's slice of its output projection (structured magnitude pruning, Li et al. 2017,
    arXiv 1608.08710, with the 2-norm)."""

    unit: ClassVar[str] = "norm of output weights"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Norm [n]; looks at no data."""
        del generator
        squares = torch.zeros_like(gates, dtype=torch.float64)
        for site, weight in output_weights(calibration.model, calibration.inventory):
            owner = site.owner.to(weight.device)
            column = weight.double().square().sum(0)
            squares[site.units] = torch.zeros_like(squares[site.units]).index_add_(0, owner, column.to(gates.device))
        return squares.sqrt()
