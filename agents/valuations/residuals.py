"""The part of each unit's features that the other units of its sub-layer cannot take over."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.models import Site


@final
@dataclass(frozen=True, eq=False)
class Residuals:
    """Step 1 of `PartialFisher` for one sub-layer: the linear map from features to residuals of its units."""

    site: Site
    features: Tensor  # LongTensor [k] of the units that are there
    owner: Tensor  # LongTensor [k], the unit of the sub-layer that owns each of them
    weight: Tensor  # Q [k, k], rounded to the network's precision

    @staticmethod
    def from_moment(site: Site, moment: Tensor, there: Tensor, ridge: float, dtype: torch.dtype) -> "Residuals":
        """From second moments [width, width] in float64 of all features, and bool [units of the sub-layer]."""
        owner = site.owner.to(moment.device)
        features = there[owner].nonzero().flatten()
        owner = owner[features]
        if len(features) == 0:
            return Residuals(site, features, owner, moment[:0, :0].to(dtype))
        weight = residual_map(moment[features][:, features], owner, ridge)
        return Residuals(site, features, owner, weight.to(dtype))

    def of(self, x: Tensor) -> Tensor:
        """The residuals r [tokens, k] of features x [tokens, width]."""
        return x[:, self.features] @ self.weight.to(x.dtype)

    def by_unit(self, by_feature: Tensor) -> Tensor:
        """Sums [..., units of the sub-layer] over each unit's features of [..., k]; 0 for units that have left."""
        return by_feature.new_zeros(*by_feature.shape[:-1], len(self.site)).index_add_(-1, self.owner, by_feature)

    @property
    def single(self) -> bool:
        """Whether every unit that is there has one feature, as FFN neurons that trade one by one."""
        return len(self.owner) > 1 and int(self.owner.bincount().max()) == 1


def residual_map(moment: Tensor, owner: Tensor, ridge: float) -> Tensor:
    """Q [k, k], which maps features x to the residuals x Q of all units, from second moments [k, k] in float64.

    Args:
        moment: of the features; the ridge is added in place.
        owner: LongTensor [k], the unit that owns each of them.
        ridge: times the mean second moment.
    """
    strength = (ridge * moment.diagonal().mean()).clamp(min=torch.finfo(moment.dtype).tiny)
    moment.diagonal().add_(strength)
    return scaled_by_unit(torch.linalg.inv(moment), owner)


def scaled_by_unit(precision: Tensor, owner: Tensor) -> Tensor:
    """Q [k, k]: the columns of every unit in P [k, k], times the inverse of the unit's own block of P.

    Units of one width are taken together, as one batch of small matrices.
    """
    scaled = torch.empty_like(precision)
    by_unit, widths = owner.argsort(stable=True), owner.bincount()  # features sorted by unit; features per unit
    last = widths.cumsum(0)
    for width in sorted(set(widths.tolist()) - {0}):
        ends = last[widths == width]
        own = by_unit[(ends - width).unsqueeze(1) + torch.arange(width, device=ends.device)]  # [units, width]
        blocks = precision[own.unsqueeze(2), own.unsqueeze(1)]  # [units, width, width]
        columns = precision[:, own].transpose(0, 1)  # [units, k, width]
        # By Cholesky's factor: with several threads, MKL's inverse of a few matrices as wide as 192 fails.
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(blocks))
        scaled[:, own] = (columns @ inverse).transpose(0, 1)
    return scaled
