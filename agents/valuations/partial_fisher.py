"""Fisher information of what a unit says that the others of its sub-layer cannot say for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.valuations.calibration import Calibration, at_rest
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError
from walras.models import Site, gated
from walras.models.repair.streams import features, inputs, real_tokens


@final
@dataclass(frozen=True)
class PartialFisher(Valuation):
    """What leaving costs where the output projection is re-fitted afterwards: twice the loss, to second order.

    A re-fit lets the units that stay say whatever of a leaver's features is a linear function of their own. What is
    lost is the rest, the residual of regressing its features on theirs (Frisch & Waugh 1933; Lovell 1963). Per
    sub-layer, with x the features of the units that stay, X'X their second moments and P = (X'X + ridge)^-1:

    1. The residual of unit i's features x_i is r_i = (P_ii)^-1 (P x)_i, all units from one inverse.
    2. Its leaving changes the output by -W_i r_i, and the loss of a sample, to first order, by
       J_i = sum over the sample's tokens of r_i . dL/dx_i.
    3. Value_i = mean over samples of J_i^2.

    With uncorrelated features r_i = x_i, and this is `Fisher`. It is the optimal brain surgeon's view (Hassibi & Stork
    1993) of whole units, with the output's error weighed by what it does to the loss of each sample. Units that have
    left are worth 0: there is nothing of them in the network as it is.
    """

    ridge: float = 0.01  # times the mean second moment of a feature
    unit: ClassVar[str] = "squared gradient of the loss"

    def __post_init__(self) -> None:
        if not 0 < self.ridge < float("inf"):
            raise InputError(f"ridge is {self.ridge!r}; it must be a number above 0")

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Value [n]; a forward pass, and a forward and a backward pass a batch."""
        model, inventory = calibration.model, calibration.inventory
        value, samples = torch.zeros_like(gates, dtype=torch.float64), 0
        with at_rest(model):
            precisions = [
                _Precision.of(site, moment, gates[site.units] != 0, self.ridge)
                for site, moment in zip(inventory.sites, _moments(calibration, gates), strict=True)
            ]
            for batch in calibration.batches:
                seen, slopes, count = calibration.feature_gradients(batch, gates, generator)
                samples += count
                for precision, x, slope in zip(precisions, seen, slopes, strict=True):
                    for unit, effect in precision.effects(x, slope, count):
                        value[precision.site.units.start + unit] += effect.square().sum(dtype=torch.float64)
        return value / samples


@final
@dataclass(frozen=True, eq=False)
class _Precision:
    """Step 1 for one sub-layer: P over the features of the units that are there, and every unit's (P_ii)^-1."""

    site: Site
    features: Tensor  # LongTensor [k], of the units that are there
    units: tuple[tuple[int, slice, Tensor], ...]  # unit of the site, its place among the k features, (P_ii)^-1
    matrix: Tensor  # P [k, k] in float64

    @staticmethod
    def of(site: Site, moment: Tensor, there: Tensor, ridge: float) -> "_Precision":
        """From second moments [width, width] in float64 of all features, and bool [units of the site]."""
        owner = site.owner.to(moment.device)
        features = there[owner].nonzero().flatten()
        if len(features) == 0:
            return _Precision(site, features, (), moment[:0, :0])
        kept = moment[features][:, features]
        strength = (ridge * kept.diagonal().mean()).clamp(min=torch.finfo(kept.dtype).tiny)
        matrix = torch.linalg.inv(kept + strength * torch.eye(len(kept), dtype=kept.dtype, device=kept.device))
        units = []
        for unit in there.nonzero().flatten().tolist():
            place = (owner[features] == unit).nonzero().flatten()
            part = slice(int(place[0]), int(place[-1]) + 1)
            units.append((unit, part, torch.linalg.inv(matrix[part, part])))
        return _Precision(site, features, tuple(units), matrix)

    def effects(self, x: Tensor, slope: Tensor, samples: int) -> Iterator[tuple[int, Tensor]]:
        """Step 2: J [samples] of every unit that is there, from x and dL/dx, both [..., width]."""
        z = x.reshape(samples, -1, self.site.width)[..., self.features] @ self.matrix.to(x.dtype)
        slope = slope.reshape(samples, -1, self.site.width)[..., self.features]
        for unit, part, inner in self.units:
            residual = z[..., part] @ inner.to(x.dtype)
            yield unit, (residual * slope[..., part]).flatten(1).sum(-1)


@torch.no_grad()
def _moments(calibration: Calibration, gates: Tensor) -> list[Tensor]:
    """Second moments [width, width] in float64 of what goes into every output projection, over real tokens."""
    model, inventory = calibration.model, calibration.inventory
    found = [torch.zeros(site.width, site.width, dtype=torch.float64, device=gates.device) for site in inventory.sites]
    with gated(model, inventory, gates):
        for batch in calibration.batches:
            with features(model, inventory) as seen:
                model(**inputs(model, batch))
            for moment, x in zip(found, seen, strict=True):
                rows = real_tokens(x, batch)
                moment += (rows.T @ rows).double()
    return found
