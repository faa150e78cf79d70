"""Milliseconds that a sliced network takes, from a measured table."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from torch import nn

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.resources.latency_measure import measure
from walras.models.resources.latency_setting import network_hash, setting_of, shape_of
from walras.models.resources.latency_table import (
    Curve,
    LatencyTable,
    Setting,
    cache_folder,
    check_cache,
    file_name,
    read_table,
)
from walras.models.resources.resource import Resource, Tell, Usage, Workload, log
from walras.models.resources.untraded import untraded_sites
from walras.models.units.inventory import Inventory, sites_and_layers
from walras.models.units.site import Site


@final
@dataclass(frozen=True)
class Latency(Resource):
    """Time of one forward pass of a batch: a constant, and a curve over the units kept for each sub-layer.

    The first unit of a sub-layer pays what the sub-layer costs at all (calls, softmax); further ones often nothing,
    where times have steps.

    Args:
        batch: sequences per pass; 0: those of the workload.
        table: file of a table that must be of this device, type, size and network; "": from the cache, or measured now
            and put there.
    """

    batch: int = 0
    table: str = ""
    name: ClassVar[str] = "latency"
    unit: ClassVar[str] = "ms"
    additive: ClassVar[bool] = False

    def measure(self, model: nn.Module, inventory: Inventory, workload: Workload, tell: Tell = log.info) -> Usage:
        """From the table; the model must be on the device and in the type in which it is to be fast."""
        given = replace(workload, batch=self.batch) if self.batch else workload
        return use_by_table(model, inventory, find_table(model, given, self.table or None, tell))


def find_table(
    model: nn.Module, workload: Workload, file: str | Path | None = None, tell: Tell = log.info
) -> LatencyTable:
    """The table of a model: from a file, from the cache, or measured now and put there.

    Args:
        model: on the device and in the type in which it is to be fast.
        workload: size of a pass; images have their own number of tokens.
        file: a table that must be of this device, type, size and network; without one the cache is looked into.
        tell: is told before anything is measured.

    Raises:
        InputError: a table of another device, type, size or network, or that cannot be read; a cache that cannot be
            written, which is found out before anything is measured.
    """
    setting, network = setting_of(model, workload), network_hash(model)
    if file is not None:
        table = read_table(file)
        _check_setting(table, setting, network, str(file))
        return table
    place = cache_folder() / file_name(setting, network)
    cached = _cached(place)
    if cached is not None:
        return cached
    check_cache(place.parent)
    table = measure(model, workload, tell)
    table.write(place)
    return table


def use_by_table(model: nn.Module, inventory: Inventory, table: LatencyTable) -> Usage:
    """Milliseconds that the units of a model add, each at its rank.

    Raises:
        InputError: the table has not a sub-layer of the model's; an inventory of another model.
    """
    steps = np.zeros(len(inventory))
    for site, layer in sites_and_layers(model, inventory):
        kept = np.append(0, np.cumsum(inventory.width[site.units])).astype(np.float64)
        steps[site.units] = np.diff(_curve(table, model, layer, site).at(kept))
    fixed = table.empty_ms
    for site, layer in untraded_sites(model, inventory):
        fixed += _curve(table, model, layer, site).ms[-1]
    workload = Workload(table.setting.batch, table.setting.length)
    own = np.zeros(len(inventory))
    return Usage(Latency.name, Latency.unit, inventory, own, np.maximum(steps, 0.0), fixed, workload=workload)


def latency(
    model: nn.Module,
    inventory: Inventory,
    batch: int,
    length: int,
    file: str | Path | None = None,
    tell: Tell = log.info,
) -> Usage:
    """`find_table` and `use_by_table` in one."""
    return use_by_table(model, inventory, find_table(model, Workload(batch, length), file, tell))


def _curve(table: LatencyTable, model: nn.Module, layer: Layer, site: Site) -> Curve:
    shape = shape_of(model, layer, site)
    if shape not in table.curves:
        raise InputError(f"the latency table has no sub-layer {shape!r}; it has: {', '.join(table.curves)}")
    return table.curves[shape]


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
