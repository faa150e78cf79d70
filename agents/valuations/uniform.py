"""The same share of every sub-layer."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.valuations.calibration import Calibration
from walras.agents.valuations.magnitude import Magnitude
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Uniform(Valuation):
    """Keeps the same share of every sub-layer's compute, those with the largest weights: the boring baseline.

    Within a sub-layer units are ranked by `Magnitude` per cost, ties by position, and those that have left come last.
    A unit's value per cost is the share of its sub-layer's compute that ranks below a point inside it, so that whatever
    the budget, a market that ranks by value per cost cuts all sub-layers at the same share, within one unit each. The
    points are spread evenly over the layers, from a unit's near end to its far end: were they the middles, all layers
    would round up at once, and the sub-layers of the other kind would pay for it. Uniform shares are the default of
    most pruning libraries (Li et al. 2017, arXiv 1608.08710, prune so within a stage).
    """

    unit: ClassVar[str] = "rank within the sub-layer x share of compute"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Cost times rank from the bottom [n], above 0; looks at no data."""
        cost = torch.from_numpy(calibration.cost).to(gates.device)
        size = Magnitude()(calibration, gates, generator) / cost
        size = torch.where(gates != 0, size, -size.reciprocal())  # below all that are there, in the same order
        value = torch.zeros_like(cost)
        sites = calibration.inventory.sites
        for site in sites:
            alike = [other.layer for other in sites if other.kind == site.kind]
            point = (alike.index(site.layer) + 0.5) / len(alike)
            order = size[site.units].argsort(descending=True, stable=True)
            ranked = cost[site.units][order]
            below = 1 - (ranked.cumsum(0) - (1 - point) * ranked) / ranked.sum()
            value[site.units] = (ranked * below)[order.argsort()]
        return value
