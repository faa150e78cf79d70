"""Values by which every sub-layer keeps the same share."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.magnitude import Magnitude
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Uniform(Valuation):
    """A unit is worth its cost times its rank within the sub-layer, so that all sub-layers keep the same share.

    The cost is what units use of the leading resource. Within a sub-layer units are ranked by `Magnitude` per cost,
    ties by position, and units that have left come last. A unit's value per cost is the share of its sub-layer's cost
    that ranks below a point inside it, so that a market that ranks by value per cost cuts all sub-layers at the same
    share at any budget, within one unit each. The points are spread evenly over the layers, from a unit's near end to
    its far end: if they were the middles, all layers would round up at once, at the expense of the sub-layers of other
    kinds.
    Uniform shares are the default of most pruning libraries (Li et al. prune so within a stage).
    """

    name: ClassVar[str] = "uniform"
    unit: ClassVar[str] = "rank within the sub-layer x share of the resource"
    source: ClassVar[str] = "Li et al. 2017, arXiv 1608.08710"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Cost times rank from the bottom [n], above 0; looks at no data."""
        cost = torch.from_numpy(calibration.cost).to(gates.device)
        size = Magnitude()(calibration, gates, generator) / cost
        size = torch.where(gates != 0, size, -size.reciprocal())  # units that left: below the others, in the same order
        value = torch.zeros_like(cost)
        sites = calibration.inventory.sites
        for site in sites:
            alike = [other.units.start for other in sites if other.kind == site.kind]
            point = (alike.index(site.units.start) + 0.5) / len(alike)
            order = size[site.units].argsort(descending=True, stable=True)
            ranked = cost[site.units][order]
            below = 1 - (ranked.cumsum(0) - (1 - point) * ranked) / ranked.sum()
            value[site.units] = (ranked * below)[order.argsort()]
        return value
