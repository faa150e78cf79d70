"""Values by which every sub-layer keeps the same share."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.magnitude import Magnitude
from walras.agents.valuations.ranks import equal_shares
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Uniform(Valuation):
    """A unit is worth its cost times its rank within the sub-layer, so that all sub-layers keep the same share.

    The cost is what units use of the leading resource. Within a sub-layer units are ranked by `Magnitude` per cost.
    Uniform shares are the default of most pruning libraries (Li et al. prune so within a stage).
    """

    name: ClassVar[str] = "uniform"
    unit: ClassVar[str] = "rank within the sub-layer x share of the resource"
    source: ClassVar[str] = "Li et al. 2017, arXiv 1608.08710"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Cost times rank from the bottom [n], above 0; looks at no data."""
        cost = torch.from_numpy(calibration.cost).to(gates.device)
        return equal_shares(calibration, gates, Magnitude()(calibration, gates, generator) / cost)
