"""The search of Kwon et al. 2022 as a rule of the market."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.interface import Bids, before_of
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity, resource_use
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.solvers.chains import NONE, Chains, Column
from walras.mechanisms.solvers.kwon_chains import kwon_chain_search
from walras.mechanisms.solvers.kwon_latency import Keep
from walras.mechanisms.solvers.kwon_macs import kwon_macs_search
from walras.mechanisms.traits import (
    CHAINED,
    INDIVIDUALLY_RATIONAL,
    INDIVISIBLE,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
)

_ROUNDING = 1e-12


@final
@dataclass(frozen=True)
class KwonSearch(Mechanism):
    """The rule searches the numbers of units of each kind for the best sum of values within one supply.

    1. Where every agent has a cost of its own: over the numbers of heads and FFN blocks (`kwon_macs_search`), which
       is the optimum for up to three different costs. Where agents form chains, as in latency: over the numbers of
       dropped sub-layers too, by Kwon's model of their times (`kwon_chain_search`).
    2. The price of a unit of the resource is the best value per cost among those left out, of a chain the best run
       of units that follow each other; 0 where none is out for want of supply. The search itself needs no price.
    3. Each agent pays min(price * cost, value).

    The exact optimum may take an agent of low value per cost that just fits instead of one of a higher: such a
    clearing is `rationed`, and its price need not fall when the supply grows. Kwon's model of a time may be too high
    for an agent that would fit: one that is left out for that reason makes no price.
    """

    requires: ClassVar[frozenset[str]] = frozenset({INDIVISIBLE, SEPARABLE})
    clears: ClassVar[frozenset[str]] = frozenset({CHAINED})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, SCALE_INVARIANT}
    )
    source: ClassVar[str] = "Kwon et al. 2022, arXiv 2204.09656"

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 3 of the class, each market of a batch for itself: supply [..., 1], cost [..., n, 1]."""
        if supply.shape[-1] != 1:
            raise InputError(f"KwonSearch sells one resource; the supply has {supply.shape[-1]}")
        value = bids.reservation_price()
        quantity, price = torch.zeros_like(value), torch.zeros_like(supply)
        status = torch.zeros(value.shape[:-1], dtype=torch.int64, device=value.device)
        none = torch.full((value.shape[-1],), NONE)
        chained = before_of(bids)
        before = none if chained is None else chained
        values, costs, supplies = (
            part.detach().double().cpu().numpy()
            for part in (value, cost.squeeze(-1).expand(value.shape), capacity(supply.detach()).squeeze(-1))
        )
        befores = before.expand(value.shape).cpu().numpy().astype(np.int64)
        for row in np.ndindex(*value.shape[:-1]):
            alone = _clear(values[row], costs[row], float(supplies[row]), Chains(befores[row]))
            served, price[row], status[row] = alone
            quantity[row] = torch.tensor(served).to(value)
        return Clearing(quantity, price, status=status, residual=resource_use(cost, quantity) - supply)


def _clear(value: Column, cost: Column, supply: float, chains: Chains) -> tuple[Keep, float, Status]:
    """Which agents are served [n], the price and the status of one market: value [n], cost [n]."""
    order = chains.order
    value, cost = value[order], cost[order]
    may = chains.sums((value < 0).astype(np.float64)) == 0  # a chain ends before a unit that does not want to be served
    value = np.where(may, value, 0.0)
    if cost[may].sum() <= supply:
        return _in_place(may, chains), 0.0, Status.SLACK
    if chains.single:
        served = kwon_macs_search(np.where(may, value, -np.inf), cost, supply)
    else:
        served = kwon_chain_search([(a, a + int(may[a:b].sum())) for a, b in chains.spans], value, cost, supply)
    # Value and cost of all that is served of a chain, up to each place, and of what would have to be added to serve it.
    held, paid = chains.sums(value * served), chains.sums(cost * served)
    more, uses = chains.sums(value) - held, chains.sums(cost) - paid
    left = max(supply - cost[served].sum(), 0.0) + _ROUNDING * supply
    fits = uses <= left
    out, spare = may & ~served & ~fits, may & ~served & fits & (more > 0)
    price = float((more[out] / uses[out]).max(initial=0.0))
    cheap = chains.last & (paid > 0) & (held <= price * paid * (1 + _ROUNDING))
    status = Status.RATIONED if cheap.any() or (more >= price * uses)[spare].any() else Status.CLEARED
    return _in_place(served, chains), price, status if served.any() or spare.any() else Status.INFEASIBLE


def _in_place(served: Keep, chains: Chains) -> Keep:
    """From the order of the chains to that of the agents."""
    by_agent = np.zeros_like(served)
    by_agent[chains.order] = served
    return by_agent
