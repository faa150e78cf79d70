"""Units without a network."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.agents.calibration.traded_units import TradedUnits
from walras.errors import InputError
from walras.models import UNIT_KINDS, Inventory, Site, UnitKind

if TYPE_CHECKING:
    from walras.agents.calibration.calibration import Calibration


@final
class GivenUnits(TradedUnits):
    """Units of a network that nobody has: their kinds, layers and costs are given, and so are their values.

    Args:
        cost: amount [n] above 0 that each unit uses; their sum counts as the whole network.
        layers: layer [n] of each unit, from 0.
        kinds: kind [n] of each, by name.

    Raises:
        InputError: columns that do not fit together, or units that are not in the order of their layers, those of a
            layer and kind side by side, as units of a network are.
        UnknownNameError: an unknown kind of unit.
    """

    def __init__(self, cost: NDArray[np.float64], layers: Sequence[int], kinds: Sequence[str]) -> None:
        if not len(cost) == len(layers) == len(kinds):
            raise InputError(
                f"cost has {len(cost)} entries, layers {len(layers)} and kinds {len(kinds)}; each unit needs one"
            )
        self.cost = cost / cost.sum()
        self.inventory = _inventory(layers, kinds)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def above(self, layer: int) -> "GivenUnits":
        """The same: values that are given cost nothing to look up."""
        del layer
        return self

    def network(self, what: str) -> "Calibration":
        """Refused."""
        raise InputError(f"{what} needs a network, and the values of this market were given without one")


def _inventory(layers: Sequence[int], kinds: Sequence[str]) -> Inventory:
    """One site per layer and kind."""
    made = {name: _kind(name) for name in dict.fromkeys(kinds)}
    each = [made[name] for name in kinds]
    runs = [(key, len(list(run))) for key, run in groupby(zip(map(int, layers), each, strict=True))]
    keys = [key for key, _ in runs]
    fallen = any(later < layer for (layer, _), (later, _) in pairwise(keys))
    if fallen or len(set(keys)) < len(keys):
        raise InputError(
            "layers and kinds are not in the order of a network; give the units layer by layer from below, and those "
            "of a layer and kind side by side"
        )
    sites, index, start = list[Site](), list[int](), 0
    for (layer, kind), count in runs:
        units = slice(start, start + count)
        sites.append(Site(f"layers.{layer}.{kind.name}", layer, kind, units, 1, count, kind.name))
        index += range(count)
        start += count
    names = np.array([kind.name for kind in each])
    columns = names, np.array(layers, dtype=np.int64), np.array(index), np.ones(start, dtype=np.int64)
    for column in columns:
        column.flags.writeable = False
    return Inventory(*columns, tuple(sites))


def _kind(name: str) -> UnitKind:
    """The kind of unit of that name, whose units can be numbered within their layer."""
    kind = UNIT_KINDS.make(name, neurons=1)
    if not kind.letter:
        raise InputError(f"kinds holds {name!r}, whose units are told apart by a network's parts; valid: head, ffn")
    return kind
