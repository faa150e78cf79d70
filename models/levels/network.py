"""The levels of all sub-layers of a network, and a choice of them put on it for a while."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.levels.moments import input_moments
from walras.models.levels.sublayer import Counts, SublayerLevels, equal_steps
from walras.models.objective import Batch
from walras.models.resources.resource import Usage
from walras.models.surgeon.structured_obs import DAMPING, Mask, StructuredOBS
from walras.models.units.gates import gated
from walras.models.units.inventory import Inventory, projections
from walras.models.units.projections import outputs_first
from walras.models.units.site import Site

Choice = Sequence[int]
"""A level of each sub-layer, in the order of the sub-layers."""

Leaving = Callable[[Site], NDArray[np.int64] | None]
"""Says of a site in which order its units leave."""


@final
@dataclass(frozen=True, eq=False)
class NetworkLevels:
    """What every sub-layer of a network can be; one level of each is a smaller network.

    Levels are prepared on what enters each sub-layer of the network that was given: those of one sub-layer do not
    depend on the levels that are chosen of others.

    Attributes:
        inventory: the units, n of them.
        sublayers: levels of each site of the inventory, in its order.
        fixed: what is used where every unit is gone, in the unit of the levels' cost.
        dense: what the whole network uses.
    """

    inventory: Inventory
    sublayers: tuple[SublayerLevels, ...]
    fixed: float
    dense: float

    @staticmethod
    def from_model(
        model: nn.Module, usage: Usage, batches: Sequence[Batch], counts: Counts | None = None,
        damping: float = DAMPING, leaving: Leaving = lambda site: None,
        tell: Callable[[int, int], object] = lambda done, of: None,
    ) -> "NetworkLevels":  # fmt: skip
        """Prepare levels, by one pass over the batches and an elimination per sub-layer.

        Args:
            model: the network, in evaluation mode, with all gates open.
            usage: what its units use of the resource in which levels are counted, with the inventory.
            batches: on which sub-layers are to write what they write now.
            counts: says how many units of a site stay at each of its levels; by default none, or 1 to 8 eighths.
            damping: of the least squares (`StructuredOBS`).
            leaving: says in which order a site's units leave; where it says None, structured OBS does.
            tell: is told after every sub-layer how many are done, and of how many.

        Raises:
            InputError: units that own no features of an output projection, such as experts.
        """
        inventory, counts = usage.inventory, counts or equal_steps(8)
        maps = projections(model, inventory)
        moments = input_moments(model, inventory, batches, torch.ones(len(inventory), device=_device(model)))
        found: list[SublayerLevels] = []
        for place, (site, projection) in enumerate(zip(inventory.sites, maps, strict=True)):
            surgeon = StructuredOBS.from_moment(
                outputs_first(projection), moments.pop(place), site.block, damping, order=leaving(site)
            )
            own, steps = usage.own[site.units], usage.steps[site.units]
            found.append(SublayerLevels.of_site(site, surgeon, counts(site), own, steps))
            tell(len(found), len(maps))
        return NetworkLevels(inventory, tuple(found), usage.fixed, usage.dense)

    def __len__(self) -> int:
        """Sub-layers."""
        return len(self.sublayers)

    @property
    def full(self) -> tuple[int, ...]:
        """The highest level of each sub-layer."""
        return tuple(len(sublayer) - 1 for sublayer in self.sublayers)

    def step(self, sublayer: int, choice: Choice) -> float:
        """What a sub-layer's level of a choice costs beyond the level below it."""
        cost = self.sublayers[sublayer].cost
        return float(cost[choice[sublayer]] - cost[choice[sublayer] - 1])

    def keep(self, choice: Choice) -> Mask:
        """The units [n] that stay.

        Raises:
            InputError: no level of each sub-layer.
        """
        self._check(choice)
        parts = [sublayer.keep(level) for sublayer, level in zip(self.sublayers, choice, strict=True)]
        found: Mask = np.concatenate(parts)
        return found

    def cost(self, choice: Choice) -> float:
        """What the network of a choice uses, what stays without any unit included."""
        self._check(choice)
        return self.fixed + float(sum(s.cost[level] for s, level in zip(self.sublayers, choice, strict=True)))

    @contextmanager
    def placing(self, model: nn.Module) -> Iterator[Callable[[Choice], None]]:
        """Within the context, a function that makes the network that of a choice, by gates and weights.

        Sub-layers that are at the chosen level already stay as they are. Afterwards every weight is bit for bit what it
        was. Not for a network whose output projections lie in the memory of another one that must not change.
        """
        maps, now = projections(model, self.inventory), dict[int, tuple[int, Tensor, Tensor]]()
        gates = torch.ones(len(self.inventory), device=_device(model), dtype=torch.get_default_dtype())

        def restore(place: int) -> None:
            _, features, old = now.pop(place)
            outputs_first(maps[place])[:, features] = old

        def place(choice: Choice) -> None:
            self._check(choice)
            for i, (sublayer, level) in enumerate(zip(self.sublayers, choice, strict=True)):
                if i in now and now[i][0] == level:
                    continue
                if i in now:
                    restore(i)
                keep, weight = sublayer.keep(level), outputs_first(maps[i])
                gates[sublayer.site.units] = torch.from_numpy(keep).to(gates)
                if not keep.all():
                    features = sublayer.features(level)
                    now[i] = level, features, weight[:, features]
                    weight[:, features] = sublayer.weights(level).to(weight)

        with gated(model, self.inventory, gates):
            try:
                yield place
            finally:
                for i in list(now):
                    restore(i)

    @contextmanager
    def placed(self, model: nn.Module, choice: Choice) -> Iterator[nn.Module]:
        """Within the context, the network is that of a choice; afterwards it is what it was, bit for bit."""
        with self.placing(model) as place:
            place(choice)
            yield model

    def _check(self, choice: Choice) -> None:
        if len(choice) != len(self) or any(not 0 <= i < len(s) for i, s in zip(choice, self.sublayers, strict=False)):
            sizes = [len(sublayer) for sublayer in self.sublayers]
            raise InputError(f"levels chosen are {[*choice]}; valid: one of each sub-layer, of which there are {sizes}")


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
