"""The peer for constrained training: the price found by cooper (Gallego-Posada et al., cooper-optim on PyPI).

    walras train --pricing experiments/benchmarks/peer_cooper.py:CooperPricing --budget 0.6 ...

Gates, cost, target and rate are those of `dual-ascent`; the augmented Lagrangian and its multiplier are cooper's.
Needs `pip install walras[peers]`.
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

    The penalty coefficient is the multiplier's rate, as in the method of multipliers (Bertsekas 1975).
    """

    budget: float
    rate: float
    price: float = 0.0
    steered: bool = True

    def supply(self, at: float) -> float:
        """The target, as that of `dual-ascent`."""
        return DualAscent(self.budget, self.rate).supply(at)

    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """What cooper adds to the loss."""
        state, _ = self._state(cost, at)
        total: Tensor = state.compute_primal_lagrangian().lagrangian
        return total

    def after(self, cost: float, at: float, slope: float | None = None) -> "CooperPricing":
        """One step of cooper's dual variable: gradient ascent on the dual Lagrangian."""
        del slope
        state, multiplier = self._state(torch.tensor(cost), at)
        state.compute_dual_lagrangian().lagrangian.backward()
        ascent = torch.optim.SGD([multiplier.weight], lr=self.rate, maximize=True)
        ascent.step()
        return replace(self, price=float(multiplier.weight.detach()))

    def _state(self, cost: Tensor, at: float) -> tuple[cooper.CMPState, cooper.multipliers.DenseMultiplier]:
        multiplier = cooper.multipliers.DenseMultiplier(init=torch.tensor([self.price], dtype=cost.dtype))
        constraint = cooper.Constraint(
            constraint_type=cooper.ConstraintType.EQUALITY,
            formulation_type=cooper.formulations.AugmentedLagrangian,
            multiplier=multiplier,
            penalty_coefficient=cooper.penalty_coefficients.DensePenaltyCoefficient(
                init=torch.tensor([self.rate], dtype=cost.dtype)
            ),
        )
        violation = (cost - self.supply(at)).reshape(1)
        loss = torch.zeros((), dtype=cost.dtype)
        state = cooper.CMPState(loss=loss, observed_constraints={constraint: cooper.ConstraintState(violation)})
        return state, multiplier
