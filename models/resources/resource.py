"""What units use up: an amount for the whole network, and what each further unit of a sub-layer adds to it."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from walras.models.units.inventory import Inventory

Column = NDArray[np.float64]


class Resource(ABC):
    """Something of which a network may use only so much; amounts are absolute, in `unit`.

    The total is `fixed`, which stays when every unit is gone, and what the kept units add. In an `additive` resource
    each adds its own amount. In others it depends on how many of its sub-layer are kept: ranks count them from 0.
    """

    name: ClassVar[str]  # as on the command line
    unit: ClassVar[str]
    inventory: Inventory
    additive: bool = True
    fixed: float = 0.0

    @property
    @abstractmethod
    def dense(self) -> float:
        """What the whole network uses."""

    @abstractmethod
    def marginal(self, rank: NDArray[np.int64]) -> Column:
        """What each unit `[n]` adds, being number `rank[i]` (from 0) among those kept of its sub-layer."""

    def used(self, keep: NDArray[np.bool_]) -> float:
        """What a network uses of which the units `keep` `[n]` are left."""
        order = ranks(self.inventory, (~keep).astype(np.float64))
        return self.fixed + float(self.marginal(order)[keep].sum())


def ranks(inventory: Inventory, key: Column) -> NDArray[np.int64]:
    """Rank `[n]` of each unit within its sub-layer by ascending `key` `[n]`; ties by position."""
    rank = np.zeros(len(inventory), dtype=np.int64)
    for site in inventory.sites:
        order = np.argsort(key[site.units], kind="stable")
        rank[site.units.start + order] = np.arange(len(order))
    return rank
