"""Sensitivity of the loss to the gates, relative to the rest of the sub-layer."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.valuations.calibration import Calibration
from walras.agents.valuations.gradient import Gradient
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Michel(Valuation):
    """Mean over samples of |d loss / d gate|, divided by the Euclidean norm of the sub-layer's, in order of score.

    Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?" (arXiv 1905.10650), equation 2, scores
    "normalized by layer (using the l2 norm)" after Molchanov et al. 2017 (arXiv 1611.06440). Theirs are attention
    heads only; blocks of FFN neurons are scored alike here, as TextPruner (Yang et al. 2022) does.

    The paper removes what has the lowest score, whatever it costs: all its heads cost the same. A market ranks by
    value per cost, so the value is score x cost. `per_cost` values the score itself instead: removed is then
    what has the lowest score per cost. The norm is that of the units that are still there.
    """

    per_cost: bool = False
    unit: ClassVar[str] = "share of the sub-layer's sensitivity"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Normalised mean absolute gradient [n], times cost; one forward and backward pass a batch."""
        score = Gradient()(calibration, gates, generator)
        for site in calibration.inventory.sites:
            own, there = score[site.units], gates[site.units] != 0
            norm = (own[there] if bool(there.any()) else own).norm()
            score[site.units] = own / norm.clamp(min=torch.finfo(own.dtype).tiny)
        return score if self.per_cost else score * torch.from_numpy(calibration.cost).to(score.device)
