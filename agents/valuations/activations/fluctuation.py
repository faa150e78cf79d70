"""FLAP: a unit whose features hardly vary can be replaced by their mean."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.activations.moments import feature_moments
from walras.agents.valuations.ranks import one_order
from walras.agents.valuations.valuation import Valuation
from walras.models import output_weights


@final
@dataclass(frozen=True)
class Fluctuation(Valuation):
    """A unit's score is how much what it writes varies, in standard deviations of its sub-layer's scores.

    1. Of every feature j of an output projection W: the variance of x_j over tokens times the squared norm of W_:j.
    2. A unit's is the mean over its features.
    3. Within a sub-layer the mean over its units is taken off, and divided by their standard deviation.
    4. Units leave in the order of these scores, all sub-layers alike, until the budget is met.

    What leaves is replaced by its mean in FLAP, by a bias: repair `means`.
    """

    name: ClassVar[str] = "fluctuation"
    unit: ClassVar[str] = "place in the order x share of the resource"
    source: ClassVar[str] = "An et al. 2024, arXiv 2312.11983, section 4"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Cost times place from the bottom [n], above 0; one forward pass."""
        del generator
        return one_order(calibration, gates, fluctuations(calibration, gates))


def fluctuations(calibration: Calibration, gates: Tensor) -> Tensor:
    """Steps 1 to 3: scores [n] in float64, of mean 0 and variance 1 within each sub-layer."""
    score = torch.zeros(len(gates), dtype=torch.float64, device=gates.device)
    seen = feature_moments(calibration, gates)
    for (site, weight), moments in zip(output_weights(calibration.model, calibration.inventory), seen, strict=True):
        column = moments.variance * weight.double().square().sum(0).to(moments.sums.device)
        owner = site.owner.to(column.device)
        own = torch.zeros(len(site), dtype=torch.float64, device=column.device).index_add_(0, owner, column)
        own /= torch.bincount(owner, minlength=len(site)).clamp(min=1)
        spread = own.std() if len(own) > 1 else own.new_zeros(())
        standard = (own - own.mean()) / spread if spread > 0 else torch.zeros_like(own)
        score[site.units] = standard.to(score.device)
    return score
