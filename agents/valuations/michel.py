"""Sensitivity of the loss to the gates, relative to the rest of the sub-layer."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.gradient import Gradient
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Michel(Valuation):
    """A unit is worth its cost times its mean |d loss / d gate|, relative to the Euclidean norm of its sub-layer's.

    The score is `Gradient`, "normalized by layer (using the l2 norm)" after Molchanov et al. 2017 (arXiv 1611.06440);
    the norm is that of the units that are still there. Michel et al. score attention heads only; units of every kind
    are scored alike here, as TextPruner (Yang et al. 2022) does.

    The paper removes the units with the lowest score, whatever they cost: all its heads cost the same. A market ranks
    by value per cost, so the value is score x cost, in shares of the leading resource. With `per_cost` the value is the
    score itself: units with the lowest score per cost go first.
    """

    per_cost: bool = False
    name: ClassVar[str] = "michel"
    unit: ClassVar[str] = "share of the sub-layer's sensitivity"
    source: ClassVar[str] = "Michel et al. 2019, arXiv 1905.10650, equation 2"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Normalised mean absolute gradient [n], times cost; one forward and backward pass per batch."""
        score = Gradient()(calibration, gates, generator)
        for site in calibration.inventory.sites:
            own, there = score[site.units], gates[site.units] != 0
            norm = (own[there] if bool(there.any()) else own).norm()
            score[site.units] = own / norm.clamp(min=torch.finfo(own.dtype).tiny)
        return score if self.per_cost else score * torch.from_numpy(calibration.cost).to(score.device)
