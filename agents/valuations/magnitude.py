"""Size of the weights with which a unit writes."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.valuation import Valuation
from walras.models import output_weights


@final
@dataclass(frozen=True)
class Magnitude(Valuation):
    """A unit is worth the Frobenius norm of the weights with which it writes: its columns of the output projection.

    This is structured magnitude pruning as Li et al. do it, who take the 1-norm.
    """

    name: ClassVar[str] = "magnitude"
    unit: ClassVar[str] = "norm of output weights"
    source: ClassVar[str] = "Li et al. 2017, arXiv 1608.08710"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Norm [n]; looks at no data."""
        del generator
        squares = torch.zeros_like(gates, dtype=torch.float64)
        for site, weight in output_weights(calibration.model, calibration.inventory):
            owner = site.owner.to(weight.device)
            column = weight.double().square().sum(0)
            squares[site.units] = torch.zeros_like(squares[site.units]).index_add_(0, owner, column.to(gates.device))
        return squares.sqrt()
