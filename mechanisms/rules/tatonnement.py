"""Tâtonnement: prices move with excess demand until markets clear."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.solvers.dual_program import Dual, settled
from walras.mechanisms.traits import (
    CONCAVE,
    INDIVIDUALLY_RATIONAL,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    SEVERAL_RESOURCES,
    SUPPLY_MONOTONE,
)

_FASTER, _SLOWER = 1.2, 0.5


@final
@dataclass(frozen=True)
class Tatonnement(Mechanism):
    """Prices rise where demand exceeds the supply and fall where supply is left, and trade happens only at the end.

    1. Call out prices p, at first those at which equal shares of the supply would be paid at their worth.
    2. Every agent names its demand; z_k is excess demand for resource k as a share of its supply, counted as at most 1.
    3. Stop where, for every k, |z_k| <= tolerance, or z_k <= 0 at the price floor. Else p_k <- max(price floor,
       p_k + s_k z_k).
    4. The steps s_k begin at `step` times the first price. Where z_k changes its sign s_k is halved, else it grows
       by a fifth: a step that is too long overshoots, one that is too short takes many rounds.
    5. After `rounds` calls the status is `not_converged`, and the residual is the excess demand that is left. What
       exceeds a supply is taken from all alike.

    Concave utilities that do not depend on each other are enough for it to converge (Arrow and Hurwicz 1958, doi
    10.2307/1907515), since excess demand is then the gradient of a convex function. Where demand jumps there may be no
    price that clears; so concave bids are required.
    """

    step: float = 0.5
    tolerance: float = 1e-6
    rounds: int = 2000
    price_floor: float = money(0.0)
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE, CONCAVE})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, SCALE_INVARIANT, SUPPLY_MONOTONE, SEVERAL_RESOURCES}
    )
    source: ClassVar[str] = "Walras 1874, lesson 12; Arrow and Hurwicz 1958, doi 10.2307/1907515"

    def __post_init__(self) -> None:
        for name, number in (("step", self.step), ("tolerance", self.tolerance)):
            if not 0 < number < torch.inf:
                raise InputError(f"{name} is {number}; it must be a number above 0")
        if isinstance(self.rounds, bool) or not isinstance(self.rounds, int) or self.rounds < 1:
            raise InputError(f"rounds is {self.rounds!r}; it must be a whole number of at least 1")
        if self.price_floor == -torch.inf:
            raise InputError(f"price_floor is {self.price_floor}; Tatonnement needs a finite one")

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 5 of the class, batched: supply [..., K], cost [..., n, K]."""
        with torch.no_grad():
            dual = Dual.from_market(bids, supply, cost, self.price_floor)
            price = dual.start()
            first = (price - self.price_floor).abs()
            step = self.step * torch.where(first > 0, first, 1.0)
            before = torch.zeros_like(price)
            for _ in range(self.rounds):
                excess = dual.excess(dual.demand(price)).to(price.dtype)
                done = (excess.abs() <= self.tolerance) | ((excess <= 0) & (price <= self.price_floor))
                if done.all():
                    break
                step = step * torch.where(excess * before < 0, _SLOWER, _FASTER)
                moved = (price + step * excess.clamp(max=1.0)).clamp(min=self.price_floor)
                price, before = torch.where(done, price, moved), excess
            return settled(dual, price, self.tolerance)
