"""Wanda for whole units: sizes of weights times sizes of what they multiply, equal shares in every sub-layer."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.activations.moments import feature_moments
from walras.agents.valuations.ranks import equal_shares
from walras.agents.valuations.valuation import Valuation
from walras.models import output_weights


@final
@dataclass(frozen=True)
class WandaSP(Valuation):
    """A unit's score is the sum of |W_ij| |x_j| over its columns j of the output projection W and all outputs i.

    |x_j| is the norm over tokens of feature j. Units are ranked by it within their sub-layer, and all sub-layers keep
    the same share, as Wanda prunes every layer alike; "sp" is what An et al. call it for whole heads and neurons.
    """

    name: ClassVar[str] = "wanda-sp"
    unit: ClassVar[str] = "rank within the sub-layer x share of the resource"
    source: ClassVar[str] = "Sun et al. 2024, arXiv 2306.11695; An et al. 2024, arXiv 2312.11983"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Cost times rank from the bottom [n], above 0; one forward pass."""
        del generator
        return equal_shares(calibration, gates, wanda_scores(calibration, gates).clamp(min=torch.finfo().tiny))


def wanda_scores(calibration: Calibration, gates: Tensor) -> Tensor:
    """The scores [n] in float64."""
    score = torch.zeros(len(gates), dtype=torch.float64, device=gates.device)
    seen = feature_moments(calibration, gates)
    for (site, weight), moments in zip(output_weights(calibration.model, calibration.inventory), seen, strict=True):
        column = moments.squares.sqrt() * weight.double().abs().sum(0).to(moments.squares.device)
        own = torch.zeros(len(site), dtype=torch.float64, device=column.device)
        score[site.units] = own.index_add_(0, site.owner.to(column.device), column).to(score.device)
    return score
