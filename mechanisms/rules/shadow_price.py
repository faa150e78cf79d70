"""Clearing by the shadow price: a search for the price, then exact rationing of the marginal agent."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.solvers.dual_program import clear_concave
from walras.mechanisms.solvers.ranking import Ranking
from walras.mechanisms.solvers.rationing import filled, ration
from walras.mechanisms.solvers.root import newton_step
from walras.mechanisms.solvers.several_resources import clear_program
from walras.mechanisms.traits import (
    CHAINED,
    CONCAVE,
    INDIVIDUALLY_RATIONAL,
    INDIVISIBLE,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    SEVERAL_RESOURCES,
    SUPPLY_MONOTONE,
)


@final
@dataclass(frozen=True)
class ShadowPrice(Mechanism):
    """The price is the lowest at which demand fits the supply, and marginal agents are rationed exactly.

    It is the multiplier (the shadow price) of: maximise sum_i utility_i(q_i) subject to sum_i cost_i q_i <= supply.

    1. Rank agents by reservation price per cost, ties by position. Search the ranks for the longest prefix whose
       demand, at the reservation price of its last member, fits the supply.
    2. Between that price and the next agent's reservation price the set of buyers is fixed: search for the lowest
       price at which its demand fits. This is the clearing price; for indivisible levels it is the reservation
       price of the first agent left out, which is what the last unit of supply is worth.
    3. Ration, where demand jumps: serve the members at the inner price at which their demand, none of them
       leaving, exhausts the supply; then one agent more, and so on while welfare rises (`rationing`). Of indivisible
       ones, those further down that still fit are served, in their order, if they are worth more than the floor, and
       than 0. If not `rationed`, only those that buy at any price just above are served, and what they leave stays
       unsold.
    4. Each agent pays min(price * cost * quantity, utility, money), so that marginal agents stay individually rational.

    Exact for concave utilities, and for jumps of one common shape; within one agent's value of the optimum for
    indivisible levels (the greedy bound of the knapsack's linear relaxation, Dantzig 1957).
    Several resources have one price each: for concave bids the multipliers of the same problem (`dual_program`), for
    indivisible ones, which may form chains, those of its linear relaxation (`several_resources`).
    With `price_floor=-inf` all is sold that can be used, as in attention; welfare then may fall as supply grows.
    On concave populations and one resource, quantity and price are differentiable in scores, cost and supply.
    """

    price_floor: float = money(0.0)
    rationed: bool = True
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE})
    clears: ClassVar[frozenset[str]] = frozenset({CHAINED})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, SCALE_INVARIANT, SUPPLY_MONOTONE, SEVERAL_RESOURCES}
    )
    source: ClassVar[str] = "Dantzig 1957, doi 10.1287/opre.5.2.266 (the greedy bound of the knapsack's relaxation)"

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 4 of the class, batched: supply [..., K], cost [..., n, K]; for K = 1 exactly these."""
        if supply.shape[-1] != 1 and CONCAVE in bids.traits:
            return clear_concave(bids, supply, cost, self.price_floor, type(self).__name__)
        if supply.shape[-1] != 1 or CHAINED in bids.traits:
            with torch.no_grad():
                return clear_program(bids, supply, cost, self.price_floor, type(self).__name__)
        with torch.no_grad():
            ranking = Ranking(bids, supply, cost, self.price_floor)
            count = ranking.longest_prefix()
            price, slack = ranking.clearing_price(count)
            if self.rationed and not bids.traits & {CONCAVE, INDIVISIBLE}:  # concave demand sells out
                sold = ration(ranking, count, price)
                members, quantity = sold.members, sold.quantity
                served = members.sum(-1)
            else:
                members = ranking.members(count)
                if not self.rationed:  # an agent as good as the first that is left out is left out too
                    members = members & (ranking.unit > ranking.threshold(count).unsqueeze(-1))
                served = members.sum(-1)
                if self.rationed and INDIVISIBLE in bids.traits:
                    members = filled(ranking, count)
                quantity = ranking.demand(price, members)
            tied = ranking.unit == ranking.threshold(served).unsqueeze(-1)  # with the first that is left out
            rationed = (served > count) | ((served < ranking.eligible) & (members & tied).any(-1))
            status = torch.where(rationed, Status.RATIONED, Status.CLEARED)
            status = torch.where(slack, Status.SLACK, status)
            status = torch.where(~members.any(-1) & (ranking.eligible > 0), Status.INFEASIBLE, status)
        if CONCAVE in bids.traits and torch.is_grad_enabled():
            price, quantity = self._differentiable(ranking, count, price, quantity, slack)
        residual = resource_use(cost, quantity) - supply
        return Clearing(quantity, price.unsqueeze(-1), status=status, residual=residual)

    @staticmethod
    def _differentiable(
        ranking: Ranking, count: Tensor, price: Tensor, quantity: Tensor, slack: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Price and quantity with a graph to the bids, the cost and the supply, where any of them asks for one."""
        members = ranking.members(count)
        supply = ranking.supply.double()

        def excess(at: Tensor) -> Tensor:
            return (resource_use(ranking.cost, ranking.demand(at, members)) - supply).squeeze(-1)

        if not excess(price).requires_grad:
            return price, quantity
        price = torch.where(slack, price, newton_step(excess, price))  # at the price floor it is fixed
        return price, ranking.demand(price, members)
