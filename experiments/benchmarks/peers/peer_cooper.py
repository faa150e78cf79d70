"""The peer for constrained training: the price found by cooper (Gallego-Posada et al., cooper-optim on PyPI).

    walras train --pricing experiments/benchmarks/peer_cooper.py:CooperPricing --budget 0.6 ...

Gates, cost, target, rate and the quadratic term at the start are those of `dual-ascent`; the augmented Lagrangian, its
multiplier and its penalty coefficient are cooper's. Needs `pip install walras[peers]`.
"""

from dataclasses import dataclass, replace
from typing import final

import cooper
import torch
from torch import Tensor

from walras.market.pricing import DualAscent, Pricing


@final
@dataclass(frozen=True)
class CooperPricing(Pricing):
    """cost = target as an equality constraint with cooper's AugmentedLagrangian; its multiplier takes plain steps.

    cooper counts half its penalty coefficient, which is 2 * `curvature` therefore. As in the method of multipliers
    (Bertsekas 1975) it grows while the constraint is violated: by cooper's additive updater, a `rate` a step, which is
    the most that `dual-ascent` would add. (The multiplicative one grows by 1 % a step: beyond all numbers in a long
    training.)
    """

    budget: float
    rate: float
    price: float = 0.0
    curvature: float = 0.0
    steered: bool = True

    def supply(self, at: float) -> float:
        """The target, as that of `dual-ascent`."""
        return DualAscent(self.budget, self.rate).supply(at)

    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """What cooper adds to the loss."""
        total: Tensor = self._state(cost, at, self._constraint(cost)).compute_primal_lagrangian().lagrangian
        return total

    def after(self, cost: float, at: float, slope: float | None = None) -> "CooperPricing":
        """One step of cooper's dual variable, gradient ascent on the dual Lagrangian, and of its coefficient."""
        del slope
        spent = torch.tensor(cost, dtype=torch.float64)
        constraint = self._constraint(spent)
        state, weight = self._state(spent, at, constraint), constraint.multiplier.weight
        state.compute_dual_lagrangian().lagrangian.backward()
        torch.optim.SGD([weight], lr=self.rate, maximize=True).step()
        growing = cooper.penalty_coefficients.AdditivePenaltyCoefficientUpdater(increment=2 * self.rate)
        growing.step(state.observed_constraints)
        return replace(self, price=weight.item(), curvature=constraint.penalty_coefficient.value.item() / 2)

    def _constraint(self, cost: Tensor) -> cooper.Constraint:
        """With the multiplier and the coefficient of now, where the cost is."""
        price, coefficient = (torch.full_like(cost.detach(), x).reshape(1) for x in (self.price, 2 * self.curvature))
        return cooper.Constraint(
            constraint_type=cooper.ConstraintType.EQUALITY,
            formulation_type=cooper.formulations.AugmentedLagrangian,
            multiplier=cooper.multipliers.DenseMultiplier(init=price, device=price.device, dtype=price.dtype),
            penalty_coefficient=cooper.penalty_coefficients.DensePenaltyCoefficient(init=coefficient),
        )

    def _state(self, cost: Tensor, at: float, constraint: cooper.Constraint) -> cooper.CMPState:
        violation = (cost - self.supply(at)).reshape(1)
        observed = {constraint: cooper.ConstraintState(violation)}
        return cooper.CMPState(loss=torch.zeros_like(cost), observed_constraints=observed)
