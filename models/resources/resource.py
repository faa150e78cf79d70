"""What units use up: a resource, and what it comes to in one network."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.errors import InputError
from walras.models.units.inventory import Inventory
from walras.models.units.site import Site

Column = NDArray[np.float64]
Tell = Callable[[str], object]

log = logging.getLogger("walras.resources")
"""What is measured, and takes a while, is announced here at level INFO."""


@final
@dataclass(frozen=True)
class Workload:
    """What the network is to be fast at: the size of a forward pass."""

    batch: int = 1  # sequences per pass
    length: int = 128  # tokens per sequence (for ViT: patches and the class token)

    def __post_init__(self) -> None:
        for name, value, what in (("batch", self.batch, "sequences"), ("length", self.length, "tokens")):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} = {value!r}; valid: a whole number of {what}, 1 or more")


@final
@dataclass(frozen=True, eq=False)
class Usage:
    """What the units of a network use of a resource, in absolute amounts, `unit` each; columns are float64 `[n]`.

    The total is `fixed`, which stays when every unit is gone, and what the kept units add. Where the kept units of a
    sub-layer are numbered from 0, number r adds `own` of itself and `steps` of the sub-layer's r-th row. Where all
    steps are 0 each unit adds its own amount whichever others are kept: the costs are `additive`.
    """

    name: str  # of the resource
    unit: str
    inventory: Inventory
    own: Column
    steps: Column
    fixed: float = 0.0
    parts: Mapping[str, Column] = field(default_factory=dict)  # own + steps by part of the layer, where counted so
    workload: Workload | None = None  # what they hold for, where it matters

    def __post_init__(self) -> None:
        n = len(self.inventory)
        for name in ("own", "steps"):
            column = getattr(self, name)
            if not (isinstance(column, np.ndarray) and column.shape == (n,) and np.isfinite(column).all()):
                raise InputError(f"{name} of resource {self.name!r} must be {n} finite numbers, one per unit")
            if (column < 0).any():
                raise InputError(f"{name} of resource {self.name!r} has numbers below 0")
        single = [site.units.start for site in self.inventory.sites if len(site) == 1]
        if self.steps[single].any():  # the step of a sub-layer that is one unit is that unit's own
            own, steps = self.own.copy(), self.steps.copy()
            own[single] += steps[single]
            steps[single] = 0.0
            object.__setattr__(self, "own", own)
            object.__setattr__(self, "steps", steps)
        for column in (self.own, self.steps, *self.parts.values()):
            column.flags.writeable = False

    @classmethod
    def additive_use(cls, name: str, unit: str, inventory: Inventory, own: Column, fixed: float = 0.0) -> "Usage":
        """Of a resource of which each unit uses its own amount `[n]`."""
        return cls(name, unit, inventory, np.array(own, dtype=np.float64), np.zeros(len(inventory)), fixed)

    @cached_property
    def additive(self) -> bool:
        """Whether each unit adds the same, whichever others are kept."""
        return not self.steps.any()

    @cached_property
    def stepped(self) -> tuple[Site, ...]:
        """The sub-layers in which what a unit adds depends on how many of them are kept."""
        return tuple(site for site in self.inventory.sites if self.steps[site.units].any())

    @cached_property
    def dense(self) -> float:
        """What the whole network uses."""
        return self.fixed + float(self.own.sum() + self.steps.sum())

    @cached_property
    def share(self) -> Column:
        """Each unit's share of `dense` `[n]`; of steps, its part if all units of its sub-layer are kept."""
        own = self.own
        if not self.additive:
            own = own.copy()
            for site in self.inventory.sites:
                own[site.units] += self.steps[site.units].mean()
        share: Column = own / self.dense
        return share

    def marginal(self, rank: NDArray[np.int64]) -> Column:
        """What each unit `[n]` adds, being number `rank[i]` (from 0) among those kept of its sub-layer."""
        if self.additive:
            return self.own
        start = np.zeros(len(rank), dtype=np.int64)
        for site in self.inventory.sites:
            start[site.units] = site.units.start
        found: Column = self.own + self.steps[start + rank]
        return found

    def used(self, keep: NDArray[np.bool_]) -> float:
        """What a network uses of which the units `keep` `[n]` are left."""
        order = ranks(self.inventory, (~keep).astype(np.float64))
        return self.fixed + float(self.marginal(order)[keep].sum())


class Resource(ABC):
    """Something of which a network may use only so much.

    Concrete resources are final frozen dataclasses, whose fields are their parameters.
    """

    name: ClassVar[str]  # as on the command line
    unit: ClassVar[str]  # what amounts are counted in
    additive: ClassVar[bool] = True  # False: what a unit uses always depends on how many of its sub-layer are kept

    @abstractmethod
    def measure(self, model: nn.Module, inventory: Inventory, workload: Workload, tell: Tell = log.info) -> Usage:
        """Count, or measure, what the units of a network use of it.

        Args:
            model: the network.
            inventory: its units.
            workload: size of the passes for which it holds.
            tell: is told of whatever takes a while.

        Raises:
            InputError: an inventory of another model.
        """


def ranks(inventory: Inventory, key: Column) -> NDArray[np.int64]:
    """Rank `[n]` of each unit within its sub-layer by ascending `key` `[n]`; ties by position."""
    rank = np.zeros(len(inventory), dtype=np.int64)
    for site in inventory.sites:
        order = np.argsort(key[site.units], kind="stable")
        rank[site.units.start + order] = np.arange(len(order))
    return rank
