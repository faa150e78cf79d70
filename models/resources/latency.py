"""Milliseconds that a sliced network takes, from a measured table."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.errors import InputError
from walras.models.resources.latency_measure import measure, network_hash, setting_of, shape_of
from walras.models.resources.latency_table import LatencyTable, Setting, cache_folder, file_name, read_table
from walras.models.resources.resource import Column, Resource
from walras.models.units.inventory import Inventory


@final
@dataclass(frozen=True, eq=False)
class Latency(Resource):
    """Time of one forward pass of a batch: a constant, and a curve over the units kept for each sub-layer.

    The first unit of a sub-layer pays what the sub-layer costs at all (calls, softmax); further ones often nothing,
    where times have steps. `steps` `[n]` are milliseconds that a sub-layer's unit of rank r adds, at its r-th place.
    """

    name: ClassVar[str] = "latency"
    unit: ClassVar[str] = "ms"
    additive: ClassVar[bool] = False  # type: ignore[misc]  # of all of them
    table: LatencyTable
    steps: Column
    inventory: Inventory

    @property
    def fixed(self) -> float:  # type: ignore[override]  # measured
        """Milliseconds without any unit."""
        return self.table.empty_ms

    @cached_property
    def dense(self) -> float:
        """Milliseconds with all units."""
        return self.fixed + float(self.steps.sum())

    def marginal(self, rank: NDArray[np.int64]) -> Column:
        """Milliseconds `[n]` that each unit adds at its rank."""
        start = np.zeros(len(rank), dtype=np.int64)
        for site in self.inventory.sites:
            start[site.units] = site.units.start
        found: Column = self.steps[start + rank]
        return found


def latency(
    model: nn.Module,
    inventory: Inventory,
    batch: int,
    length: int,
    file: str | Path | None = None,
    tell: Callable[[str], object] = lambda text: None,
) -> Latency:
    """Milliseconds of a model's units, from the table in `file`, from the cache, or measured now and put there.

    Args:
        model: on the device and in the type in which it is to be fast.
        inventory: its units.
        batch: sequences of a forward pass.
        length: tokens of a sequence; images have their own number.
        file: a table that must be of this device, type, size and network; without one the cache is looked into.
        tell: is told before anything is measured.

    Raises:
        InputError: a table of another device, type, size or network, or that cannot be read.
    """
    setting, network = setting_of(model, batch, length), network_hash(model)
    if file is not None:
        table = read_table(file)
        _check_setting(table, setting, network, str(file))
    else:
        place = cache_folder() / file_name(setting, network)
        found = _cached(place)
        table = found or measure(model, batch, length, tell)
        if found is None:
            table.write(place)
    return Latency(table, _steps(model, inventory, table), inventory)


def _cached(place: Path) -> LatencyTable | None:
    """The table in the cache; None where there is none, or a damaged one, which is measured anew."""
    try:
        return read_table(place) if place.is_file() else None
    except InputError:
        return None


def _check_setting(table: LatencyTable, setting: Setting, network: str, file: str) -> None:
    """Refuse a table that was measured under other conditions; the version of PyTorch may differ."""
    for part, words in (("device", "{}"), ("dtype", "{}"), ("batch", "batch {}"), ("length", "length {}"),
                        ("threads", "{} thread(s)")):  # fmt: skip
        theirs, ours = getattr(table.setting, part), getattr(setting, part)
        if theirs != ours:
            raise InputError(
                f"latency table {file!r} was measured on {words.format(theirs)}; this run is on {words.format(ours)}"
            )
    if table.network != network:
        raise InputError(f"latency table {file!r} was measured on a network of other shapes")


def _steps(model: nn.Module, inventory: Inventory, table: LatencyTable) -> Column:
    """Milliseconds `[n]` that each rank of each sub-layer adds."""
    steps = np.zeros(len(inventory))
    for site in inventory.sites:
        shape = shape_of(model, site)
        if shape not in table.curves:
            raise InputError(f"the latency table has no sub-layer {shape!r}; it has: {', '.join(table.curves)}")
        kept = np.append(0, np.cumsum(inventory.width[site.units])).astype(np.float64)
        steps[site.units] = np.diff(table.curves[shape].at(kept))
    return np.maximum(steps, 0.0)
