"""Fisher information of the part of a unit's features that the other units of its sub-layer cannot take over."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.fisher import Fisher
from walras.agents.valuations.residuals import Residuals
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError
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
    4. There, and where units have one feature each, the mean of J_it^2 = r_it^2 g_it^2, with g = dL/dx, still hangs on
       few tokens. Half of the value (`shrinkage`) is therefore what the mean would be if r and g did not depend on each
       other but for a size that a token has for all units, s_t = mean over i of r_it^2 and u_t = mean over i of g_it^2:
       (sum over t of u_t r_it^2) (sum over t of s_t g_it^2), scaled to step 3's sum over the sub-layer. Without s and u
       it is the assumption of K-FAC (Martens & Grosse 2015), and wrong where single tokens have features of huge size.
       Where effects are summed over a sample's tokens first, the latter made choices worse (STS-B): not done there.

    With uncorrelated features Q is the identity and this is `Fisher`. It is the optimal brain surgeon's view (Hassibi &
    Stork 1993) of whole units, with the output's error weighed by what it does to the loss of each sample. Units that
    have left are worth 0: there is nothing of them in the network as it is. Units whose output is not re-fitted, such
    as experts, to which a router gives tokens, have the value of `Fisher`, which is in the same unit.

    The ridge says how far a unit may count on the others. Much smaller, every unit of a wide sub-layer looks
    dispensable, because each alone is nearly a linear function of the others, who may leave as well; much larger, what
    a re-fit can make good is forgotten. 1 was best or near it on held-out rows of STS-B and blocks of WikiText-2.
    """

    ridge: float = 1.0  # times the mean second moment of a feature
    shrinkage: float = 0.5  # share of a value that is the product of step 4
    name: ClassVar[str] = "partial-fisher"
    unit: ClassVar[str] = "squared gradient of the loss"

    def __post_init__(self) -> None:
        if not 0 < self.ridge < float("inf"):
            raise InputError(f"ridge is {self.ridge!r}; it must be a number above 0")
        if not 0 <= self.shrinkage <= 1:
            raise InputError(f"shrinkage is {self.shrinkage!r}; it must be a number from 0 to 1")

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Value [n]; a forward pass, and a forward and a backward pass, per batch.

        Units below the calibration's layer have no gradients: their value is 0, and nothing is computed for them.
        """
        value, samples = self._alone(calibration, gates, generator), 0
        by_position = calibration.objective.by_position
        factors: dict[int, tuple[Tensor, Tensor]] = {}
        with at_rest(calibration.model):
            residuals = self._residuals(calibration, gates)
            for batch in calibration.batches if residuals else ():
                seen, slopes, count = calibration.feature_gradients(batch, gates, generator)
                samples += count
                for place, residual in residuals.items():
                    part = residual.of(real_tokens(seen[place], batch))
                    slope = real_tokens(slopes[place], batch)[:, residual.features]
                    effects = residual.by_unit(part * slope)
                    if not by_position:
                        effects = _summed(effects, _samples_of_tokens(seen[place], batch, count), count)
                    value[residual.site.units] += effects.square().sum(0, dtype=torch.float64)
                    if by_position and residual.single and self.shrinkage:
                        before, more = factors.get(place, (0, 0)), _factors(part, slope)
                        factors[place] = before[0] + more[0], before[1] + more[1]
        for place, residual in residuals.items():
            found = value[residual.site.units] / samples
            if place in factors:
                found = self._shrunk(found, residual.by_unit(torch.mul(*factors[place])))
            value[residual.site.units] = found
        return value

    def _shrunk(self, value: Tensor, product: Tensor) -> Tensor:
        """Step 4 for one sub-layer: values [units] by step 3, and the products of the two sums, times any number."""
        total = product.sum()
        if total == 0:
            return value
        return (1 - self.shrinkage) * value + self.shrinkage * product * (value.sum() / total)

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

    def _residuals(self, calibration: Calibration, gates: Tensor) -> dict[int, Residuals]:
        """Step 1 for each sub-layer that has units to value, by the sub-layer's number."""
        moments, found = _moments(calibration, gates), {}
        dtype = next(calibration.model.parameters()).dtype
        for place in list(moments):
            site = calibration.inventory.sites[place]
            there = gates[site.units] != 0
            found[place] = Residuals.from_moment(site, moments.pop(place), there, self.ridge, dtype)
        return found


def _factors(residual: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """The two sums over tokens [k] of step 4, in float64, from r and g [tokens, k]."""
    r, g = residual.double().square(), slope.double().square()  # in half precision squares are lost
    return g.mean(1) @ r, r.mean(1) @ g


def _samples_of_tokens(seen: Tensor, batch: Batch, samples: int) -> Tensor:
    """LongTensor [tokens]: the sample that each real token of a batch belongs to; samples have equally many rows."""
    places = seen.shape[:-1].numel()
    own = torch.arange(places, device=seen.device) // (places // samples)
    return real_tokens(own.unsqueeze(-1), batch).squeeze(-1)


def _summed(effects: Tensor, sample: Tensor, samples: int) -> Tensor:
    """The sum over the tokens of each sample, [samples, units]."""
    return effects.new_zeros(samples, effects.shape[1]).index_add_(0, sample, effects)


def _moments(calibration: Calibration, gates: Tensor) -> dict[int, Tensor]:
    """Second moments [width, width] in float64 of what enters each output projection to value, by sub-layer."""
    inventory = calibration.inventory
    valued = [place for place, site in enumerate(inventory.sites) if site.layer >= calibration.layer]
    return input_moments(calibration.model, inventory, calibration.batches, gates, valued)
