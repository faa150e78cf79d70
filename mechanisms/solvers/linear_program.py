"""The linear relaxation of a market of several resources, and the prices that support it.

maximise sum_i value_i q_i  subject to  sum_i cost_ik q_i <= supply_k,  0 <= q_i <= 1,  q_i <= q_before(i),

with HiGHS (Huangfu and Hall 2018, doi 10.1007/s12532-017-0130-5) through scipy. The multiplier of resource k is its
price. A vertex has at most K fractional units or, with chains, K runs: units that follow each other in one chain and
have the same fraction (a face of K dimensions of a product of order polytopes, whose vertices are whole).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from walras.errors import WalrasError
from walras.mechanisms.solvers.chains import Chains, Column

WHOLE = 1e-7
"""How far a fraction may be from 0 or 1 by the solver's rounding alone."""
_OPTIONS = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}


def _solve(objective: Column, left: Any, right: Column, bounds: Any) -> Any:
    """scipy's answer: least `objective` . x with `left` x <= `right`, at a vertex, by the dual simplex method."""
    from scipy.optimize import linprog  # here: only this solver needs scipy, which takes as long to load as torch

    solver: Any = linprog  # its types know no sparse rows
    return solver(objective, A_ub=left, b_ub=right, bounds=bounds, method="highs-ds", options=_OPTIONS)


@final
@dataclass(frozen=True, eq=False)
class Program:
    """One market: value [n], cost [n, K], supply [K] (may be inf), and which unit comes before which.

    `blocked` [n] are units that may not be served, with all that come after them. The solver sees values and
    resources in units of their own size: squared gradients of 1e-8 are no rounding error.
    """

    value: Column
    cost: Column
    supply: Column
    chains: Chains
    blocked: NDArray[np.bool_]

    @cached_property
    def money(self) -> float:
        """The unit in which the solver counts values: the largest one."""
        return float(np.abs(self.value).max(initial=0.0)) or 1.0

    @cached_property
    def scale(self) -> Column:
        """The unit [K] in which the solver counts each resource: its supply, or all use where that is 0 or inf."""
        total = self.cost.sum(0)
        scale: Column = np.where((self.supply > 0) & (self.supply < np.inf), self.supply, np.where(total > 0, total, 1))
        return scale

    @cached_property
    def scarce(self) -> NDArray[np.bool_]:
        """Resources [K] of which all units together would use more than the supply."""
        scarce: NDArray[np.bool_] = self.cost.sum(0) > self.supply
        return scarce

    @cached_property
    def _rows(self) -> tuple[Any, Column]:
        """Left sides (sparse) and right sides of the inequalities: scarce resources, then chains."""
        from scipy.sparse import csr_array, vstack

        places = np.flatnonzero(self.chains.before >= 0)
        n, m = len(self.value), len(places)
        ones, rows = np.ones(m), np.arange(m)
        after = csr_array((ones, (rows, places)), shape=(m, n))
        sooner = csr_array((ones, (rows, self.chains.before[places])), shape=(m, n))
        resources = csr_array((self.cost / self.scale).T[self.scarce])
        right = np.append((self.supply / self.scale)[self.scarce], np.zeros(m))
        return vstack([resources, after - sooner]), right

    def relaxed(self, low: Column, high: Column) -> tuple[Column, Column]:
        """Best fractions [n] between `low` and `high`, and the resources' multipliers [K]."""
        left, right = self._rows
        high = np.where(self.blocked, 0.0, high)
        price = np.zeros(len(self.supply))
        if not len(right):  # all units can be served whole: no solver needed
            return np.where(self.value >= 0, high, low), price
        solution = _solve(-self.value / self.money, left, right, np.stack([low, high], -1))
        if solution.status != 0:
            raise WalrasError(f"the linear program of {len(self.value)} bids was not solved: {solution.message}")
        price[self.scarce] = np.maximum(-solution.ineqlin.marginals[: int(self.scarce.sum())], 0)
        return np.clip(solution.x, low, high), price * self.money / self.scale

    def lowest_prices(self, fraction: Column, price: Column) -> Column:
        """Of all prices [K] at which `fraction` is best for every unit, those at which all resources cost least.

        Multipliers are not unique where the supply is used up without a fractional unit. At prices p, a chain of
        which the first j units are served, with positive weight, must earn there at least as much as at any other
        length: value_j - p . cost_j >= value_i - p . cost_i for sums along the chain. These are linear in p. Where
        rounding leaves no solution, the multipliers stand.
        """
        used = fraction @ (self.cost / self.scale)
        binding = self.scarce & (used >= self.supply / self.scale - 1e-7)
        if not binding.any():
            return np.zeros(len(price))
        left, right = self._best_lengths(fraction)
        keep = np.abs(left[:, binding]).max(-1) > 0
        total = self.cost.sum(0) / self.scale
        solution = _solve(total[binding], left[keep][:, binding], right[keep], (0, None))
        if solution.status != 0:
            return price
        lowest = np.zeros(len(price))
        lowest[binding] = np.maximum(solution.x, 0) * self.money / self.scale[binding]
        return lowest

    def _best_lengths(self, fraction: Column) -> tuple[Column, Column]:
        """Rows [m, K] and right sides [m] of the conditions of `lowest_prices`, in the solver's units."""
        chains, order = self.chains, self.chains.order
        if chains.single:
            worth, uses = self.value / self.money, self.cost / self.scale
            buys, out = fraction > WHOLE, (fraction < 1 - WHOLE) & ~self.blocked
            return np.concatenate([uses[buys], -uses[out]]), np.concatenate([worth[buys], -worth[out]])
        value = chains.sums(self.value[order] / self.money)
        cost = chains.sums(self.cost[order] / self.scale)
        here = fraction[order]
        following = np.where(chains.last, 0.0, np.append(here[1:], 0.0))
        weight = here - following  # of serving a chain up to this place and no further
        may = np.logical_not(chains.sums(self.blocked[order].astype(float)) > 0)
        rows, rights = [], []
        for a, b in chains.spans:  # length 0 is a choice as well
            lengths = np.append(1 - here[a], weight[a:b])
            worth, uses = np.append(0.0, value[a:b]), np.vstack([np.zeros(cost.shape[1]), cost[a:b]])
            free = np.append(True, may[a:b])
            best = int(lengths.argmax())
            rows.append((uses[best] - uses)[free])
            rights.append((worth[best] - worth)[free])
            tied = (lengths > WHOLE) & (np.arange(len(lengths)) != best)
            rows.append((uses - uses[best])[tied])
            rights.append((worth - worth[best])[tied])
        return np.concatenate(rows), np.concatenate(rights)
