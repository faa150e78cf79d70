"""What is for sale: one or several resources of a network, in shares of what the dense one uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.market.ledger import Column
from walras.models import Inventory
from walras.models.resources import Resource, ranks

Mask = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class Shares(Resource):
    """A resource known by nothing but each unit's share [n] of it."""

    name: ClassVar[str] = "compute"
    unit: ClassVar[str] = "share"
    share: Column
    inventory: Inventory

    @property
    def dense(self) -> float:
        """Of itself."""
        return 1.0

    def marginal(self, rank: NDArray[np.int64]) -> Column:
        """The same at every rank."""
        del rank
        return self.share


@final
@dataclass(frozen=True, eq=False)
class Offer:
    """One round's market: cost [n, K] of each unit, supply [K], and for each bidder who must be served before it."""

    cost: Tensor
    supply: Tensor
    before: Tensor | None  # [bidders], indices of bidders; None where no resource needs it


@final
@dataclass(frozen=True, eq=False)
class Supply:
    """Resources [K] of one network; the first is the one that the ledger's column `cost` is of."""

    resources: tuple[Resource, ...]

    @property
    def chained(self) -> bool:
        """Whether what a unit adds depends on how many of its sub-layer there are."""
        return not all(resource.additive for resource in self.resources)

    def costs(self, rank: NDArray[np.int64]) -> Column:
        """Shares [n, K] that units add at their ranks."""
        return np.stack([resource.marginal(rank) / resource.dense for resource in self.resources], -1)

    def used(self, quantity: Column) -> tuple[float, ...]:
        """Shares [K] that the funded units, and what stays without any, use."""
        return tuple(
            float(resource.marginal(np.zeros(len(quantity), dtype=np.int64)) / resource.dense @ quantity)
            if resource.additive
            else resource.used(quantity > 0) / resource.dense
            for resource in self.resources
        )

    def offer(self, budgets: Sequence[float], report: Column, bids: Mask, settled: Column) -> Offer:
        """What a round has to sell.

        Where a resource is not additive, the bidders `bids` [n] of every sub-layer are ranked by `report` [n], and
        each costs what it adds at its rank, if all before it are served.

        Args:
            budgets: shares [K] that may be used in all.
            settled: quantities [n] of those that do not bid any more but stay; 0 for all others.
        """
        inventory = self.resources[0].inventory
        rank = ranks(inventory, np.where(bids, -report, np.inf))
        left = [max(b - u, 0.0) for b, u in zip(budgets, self.used(settled), strict=True)]
        supply = torch.tensor(left, dtype=torch.float64)
        cost = torch.from_numpy(self.costs(rank))
        return Offer(cost, supply, torch.from_numpy(_before(inventory, rank, bids)) if self.chained else None)


def _before(inventory: Inventory, rank: NDArray[np.int64], bids: Mask) -> NDArray[np.int64]:
    """For every bidder the place, among the bidders, of the one with the next lower rank of its sub-layer, or -1."""
    place = np.cumsum(bids) - 1
    before = np.full(len(rank), -1)
    for site in inventory.sites:
        order = site.units.start + np.argsort(rank[site.units])
        before[order[1:]] = place[order[:-1]]
    return before[bids]
