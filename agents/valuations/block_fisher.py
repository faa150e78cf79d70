"""Fisher information of the gates with what units of a sub-layer have in common."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class BlockFisher(Valuation):
    """A unit is worth twice the loss that removing it costs, given which others of its sub-layer have left.

    This holds to second order. With every sample's gradients G [samples, units of a sub-layer] at the dense network,
    I = G'G / samples is a block of the empirical Fisher information, and removing d = 1 - m of the units costs d'Id / 2
    (Kwon et al., with G from mini-batches there, from each sample here). A unit's value is its marginal contribution to
    d'Id, between staying and leaving, all others as they are:

        value_i = I_ii + 2 sum_{j != i} I_ij d_j,    and 0 where this is negative.

    For a unit that is there it is what its leaving adds; for one that has left, what its coming back saves. It
    exceeds `Fisher` where units that could replace this one are gone, and falls short of it where removing this one
    makes up for their absence; while all are there it equals `Fisher`.

    Gradients are those of the dense network with all gates open, as the expansion has it: taken under the present
    gates they would hold the effect of those that left already, and the terms of I_ij would count it twice.
    """

    name: ClassVar[str] = "block-fisher"
    unit: ClassVar[str] = "squared gradient of the loss"
    source: ClassVar[str] = "Kwon et al. 2022, arXiv 2204.09656, equation 9"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Marginal contribution [n]; one forward and backward pass of the dense network per batch."""
        sites = calibration.inventory.sites
        blocks = [gates.new_zeros((), dtype=torch.float64)] * len(sites)
        samples, dense = 0, calibration.dense
        with at_rest(dense):
            for place, _ in enumerate(calibration.batches):
                gradient = calibration.gradients(
                    dense, calibration.objective, place, torch.ones_like(gates), generator
                ).double()
                blocks = [
                    block + gradient[:, site.units].T @ gradient[:, site.units]
                    for block, site in zip(blocks, sites, strict=True)
                ]
                samples += len(gradient)
        value = torch.zeros_like(gates, dtype=torch.float64)
        for block, site in zip(blocks, sites, strict=True):
            own, gone = block.diagonal(), 1 - gates[site.units].double()
            value[site.units] = own + 2 * (block @ gone - own * gone)
        return (value / samples).clamp(min=0)
