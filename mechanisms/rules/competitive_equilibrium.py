"""Competitive equilibrium of a Fisher market: prices at which agents spend their money and everything is sold."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.budgeted import endowments
from walras.mechanisms.bids.indivisible import IndivisibleBids
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import charge, resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.rules.shadow_price import ShadowPrice
from walras.mechanisms.traits import (
    CONCAVE,
    INDIVISIBLE,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    SEVERAL_RESOURCES,
    SUPPLY_MONOTONE,
    WITHIN_BUDGETS,
)


@final
@dataclass(frozen=True)
class Spenders:
    """Buyers that spend all their money up to satiation: q(p) = min(most, money / p), [..., n] each.

    That is the demand of utility(q) = money ln q up to `most`, the summands of the Eisenberg-Gale program.
    """

    money: Tensor
    most: Tensor

    @property
    def traits(self) -> frozenset[str]:
        """Concave; no buyer's utility depends on another's."""
        return frozenset({CONCAVE, SEPARABLE})

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        """The quantity [..., n] that all money buys, at most the satiation."""
        del stay  # at every finite price something is bought
        buys = (price < torch.inf) & (self.money > 0)
        spent = self.money / torch.where(price > 0, price, torch.finfo(self.money.dtype).tiny)
        return torch.where(buys, torch.minimum(spent, self.most), 0.0)

    def utility(self, quantity: Tensor) -> Tensor:
        """All money where anything is bought [..., n]: the most that a buyer would pay."""
        return torch.where(quantity > 0, self.money, 0.0)

    def reservation_price(self) -> Tensor:
        """An agent that has money buys at any price [..., n]."""
        return torch.where((self.money > 0) & (self.most > 0), torch.inf, -torch.inf).to(self.money.dtype)


@final
@dataclass(frozen=True)
class CompetitiveEquilibrium(Mechanism):
    """Prices are found at which every agent spends all its money on what it likes best, and demand equals supply.

    maximise  sum_i money_i ln q_i   subject to  sum_i cost_ik q_i <= supply_k,  0 <= q_i <= most_i   (Eisenberg-Gale)

    1. Money is that of `Budgeted` bids, else `endowment`, the same for all: equal incomes. It has no value but what it
       buys. `most` is what an agent takes where all is free, its satiation; a level needs its row of `cost`.
    2. The prices are the program's multipliers: the shadow prices of buyers with utility money ln q, which
       `ShadowPrice` finds. At them agent i buys min(most_i, money_i / charge_i), and pays the price for it.
    3. Indivisible agents buy one unit where they want it and can afford it. Where a resource with a price is then left
       over there is no equilibrium, and the status says `no_equilibrium`; the residual is what stays unsold.

    From equal incomes the outcome is efficient and free of envy (Varian 1974). With one resource and no agent satiated
    this is `ProportionalShare`. Payments are bounded by money, not by utility: money has no other use here.
    """

    endowment: float = money(1.0)
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE})
    requires_one: ClassVar[frozenset[str]] = frozenset({INDIVISIBLE, CONCAVE})  # of these the satiation is known
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {
            PRICE_FLOOR, PERMUTATION_INVARIANT, SCALE_INVARIANT, SUPPLY_MONOTONE, SEVERAL_RESOURCES, WITHIN_BUDGETS,
        }
    )  # fmt: skip
    source: ClassVar[str] = "Eisenberg and Gale 1959, doi 10.1214/aoms/1177706369"

    def __post_init__(self) -> None:
        if not 0 <= self.endowment < torch.inf:
            raise InputError(f"endowment is {self.endowment}; it must be a number of at least 0")

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 3 of the class, batched: supply [..., K], cost [..., n, K]."""
        with torch.no_grad():
            reservation = bids.reservation_price()
            purse = endowments(bids, self.endowment)
            most = bids.demand(torch.where(reservation > -torch.inf, 0.0, torch.inf).to(reservation))
            none = ((cost > 0) & (supply == 0).unsqueeze(-2)).any(-1)
            purse = torch.where((most > 0) & ~none, purse, 0.0)
            if INDIVISIBLE in bids.traits:
                can = torch.where(purse > 0, purse, -torch.inf)
                return self._whole(ShadowPrice()(IndivisibleBids(can), supply, cost), purse, supply, cost)
            return ShadowPrice()(Spenders(purse, most), supply, cost)

    @staticmethod
    def _whole(sold: Clearing, purse: Tensor, supply: Tensor, cost: Tensor) -> Clearing:
        """Step 3, where the wealthiest per cost have been served; who fits but cannot pay the price is not."""
        asked = charge(cost, sold.price).expand_as(purse)
        can = asked <= purse * (1 + torch.finfo(purse.dtype).eps)  # both were rounded
        quantity = torch.where(can, sold.quantity, 0.0)
        residual = resource_use(cost, quantity) - supply
        none = ((-residual > 1e-9 * cost.sum(-2)) & (sold.price > 0)).any(-1)
        status = torch.where(none, Status.NO_EQUILIBRIUM, sold.status)
        payment = torch.minimum(asked, purse) * quantity
        return replace(sold, quantity=quantity, payment=payment, residual=residual, status=status)
