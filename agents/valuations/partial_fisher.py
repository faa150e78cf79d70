"""Fisher information of the part of a unit's features that the other units of its sub-layer cannot take over."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.fisher import Fisher
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError
from walras.models import Site
from walras.models.levels.moments import input_moments
from walras.models.objective import Batch
from walras.models.repair.streams import real_tokens, refittable


@final
@dataclass(frozen=True)
class PartialFisher(Valuation):
    """A unit is worth twice the loss that removing it costs when the output projection is re-fitted afterwards.

    This holds to second order. A re-fit lets the units that stay supply whatever of a removed unit's features is a
    linear function of their own. What is lost is the rest, the residual of regressing its features on theirs (Frisch &
    Waugh 1933; Lovell 1963). Per sub-layer, with x the features of the units that are there, X'X their second moments
    and P = (X'X + ridge)^-1:

    1. The residual of unit i's features x_i is r_i = (P_ii)^-1 (P x)_i. All residuals come from one inverse: r = Q'x,
       where unit i's columns of Q are those of P times (P_ii)^-1.
    2. Removing unit i changes the output by -W_i r_i, and the loss of a sample, to first order, by
       J_i = sum over the sample's tokens t of J_it = r_it . dL/dx_it.
    3. Value_i = mean over samples of J_i^2. Where every position has a loss of its own, as in a language model, of
       sum over t of J_it^2: the products of different tokens have a mean near 0, and from as few samples as there are,
       leaving them out tells units apart far better (SmolLM2-135M at 0.7 of its compute, 32 samples of 256 tokens).

    With uncorrelated features Q is the identity and this is `Fisher`. It is the optimal brain surgeon's view (Hassibi &
    Stork 1993) of whole units, with the output's error weighed by what it does to the loss of each sample. Units that
    have left are worth 0: there is nothing of them in the network as it is. Units whose output is not re-fitted, such
    as experts, to which a router gives tokens, have the value of `Fisher`, which is in the same unit.

    The ridge says how far a unit may count on the others. Much smaller, every unit of a wide sub-layer looks
    dispensable, because each alone is nearly a linear function of the others, who may leave as well; much larger, what
    a re-fit can make good is forgotten. 1 was best or near it on held-out rows of STS-B and blocks of WikiText-2.
    """

    ridge: float = 1.0  # times the mean second moment of a feature
    name: ClassVar[str] = "partial-fisher"
    unit: ClassVar[str] = "squared gradient of the loss"

    def __post_init__(self) -> None:
        if not 0 < self.ridge < float("inf"):
            raise InputError(f"ridge is {self.ridge!r}; it must be a number above 0")

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Value [n]; a forward pass, and a forward and a backward pass, per batch.

        Units below the calibration's layer have no gradients: their value is 0, and nothing is computed for them.
        """
        value, samples = self._alone(calibration, gates, generator), 0
        with at_rest(calibration.model):
            residuals = self._residuals(calibration, gates)
            for batch in calibration.batches if residuals else ():
                seen, slopes, count = calibration.feature_gradients(batch, gates, generator)
                samples += count
                for place, residual in residuals.items():
                    effects = residual.effects(real_tokens(seen[place], batch), real_tokens(slopes[place], batch))
                    if not calibration.objective.by_position:
                        effects = _summed(effects, _samples_of_tokens(seen[place], batch, count), count)
                    value[residual.site.units] += effects.square().sum(0, dtype=torch.float64)
        for residual in residuals.values():
            value[residual.site.units] /= samples
        return value

    @staticmethod
    def _alone(calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Value [n] of units that no re-fit can stand in for, such as experts: that of `Fisher`; 0 for all others."""
        inventory, value = calibration.inventory, torch.zeros_like(gates, dtype=torch.float64)
        fitted = refittable(calibration.model, inventory)
        if not all(fitted):
            found = torch.where(gates != 0, Fisher()(calibration, gates, generator), 0.0)
            for site in (site for site, refit in zip(inventory.sites, fitted, strict=True) if not refit):
                value[site.units] = found[site.units]
        return value

    def _residuals(self, calibration: Calibration, gates: Tensor) -> dict[int, "_Residuals"]:
        """Step 1 for each sub-layer that has units to value, by the sub-layer's number."""
        moments, found = _moments(calibration, gates), {}
        dtype = next(calibration.model.parameters()).dtype
        for place in list(moments):
            site = calibration.inventory.sites[place]
            there = gates[site.units] != 0
            found[place] = _Residuals.from_moment(site, moments.pop(place), there, self.ridge, dtype)
        return found


@final
@dataclass(frozen=True, eq=False)
class _Residuals:
    """Step 1 for one sub-layer: the linear map from the features that are there to the residuals of all its units."""

    site: Site
    features: Tensor  # LongTensor [k] of the units that are there
    owner: Tensor  # LongTensor [k], the unit of the sub-layer that owns each of them
    weight: Tensor  # Q [k, k], rounded to the network's precision

    @staticmethod
    def from_moment(site: Site, moment: Tensor, there: Tensor, ridge: float, dtype: torch.dtype) -> "_Residuals":
        """From second moments [width, width] in float64 of all features, and bool [units of the sub-layer]."""
        owner = site.owner.to(moment.device)
        features = there[owner].nonzero().flatten()
        owner = owner[features]
        if len(features) == 0:
            return _Residuals(site, features, owner, moment[:0, :0].to(dtype))
        weight = residual_map(moment[features][:, features], owner, ridge)
        return _Residuals(site, features, owner, weight.to(dtype))

    def effects(self, x: Tensor, slope: Tensor) -> Tensor:
        """Step 2: J_it [tokens, units of the sub-layer] from x and dL/dx, both [tokens, width]; 0 for leavers."""
        by_feature = x[:, self.features] @ self.weight.to(x.dtype) * slope[:, self.features]
        return by_feature.new_zeros(len(x), len(self.site)).index_add_(1, self.owner, by_feature)


def _samples_of_tokens(seen: Tensor, batch: Batch, samples: int) -> Tensor:
    """LongTensor [tokens]: the sample that each real token of a batch belongs to; samples have equally many rows."""
    places = seen.shape[:-1].numel()
    own = torch.arange(places, device=seen.device) // (places // samples)
    return real_tokens(own.unsqueeze(-1), batch).squeeze(-1)


def _summed(effects: Tensor, sample: Tensor, samples: int) -> Tensor:
    """The sum over the tokens of each sample, [samples, units]."""
    return effects.new_zeros(samples, effects.shape[1]).index_add_(0, sample, effects)


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


def _moments(calibration: Calibration, gates: Tensor) -> dict[int, Tensor]:
    """Second moments [width, width] in float64 of what enters each output projection to value, by sub-layer."""
    inventory = calibration.inventory
    valued = [place for place, site in enumerate(inventory.sites) if site.layer >= calibration.layer]
    return input_moments(calibration.model, inventory, calibration.batches, gates, valued)
