"""What can be traded in a transformer: all units of a network, one row each."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.errors import InputError
from walras.models.architectures import Layer, layers_of
from walras.models.units.kinds.kind import UnitKind
from walras.models.units.kinds.table import UNIT_KINDS, finest_kinds
from walras.models.units.site import Site
from walras.models.units.tradable import check_tradable


@final
@dataclass(frozen=True, eq=False)
class Inventory:
    """All units of a model, one row each, sorted by layer, then by kind in the order of `unit_kinds`, then by index."""

    kind: NDArray[np.str_]  # names of kinds
    layer: NDArray[np.int64]
    index: NDArray[np.int64]  # within the layer and kind
    width: NDArray[np.int64]  # features that the unit owns
    sites: tuple[Site, ...]

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def unit_kinds(self) -> tuple[UnitKind, ...]:
        """The kinds that are there, in the order of their first units."""
        return tuple(dict.fromkeys(site.kind for site in self.sites))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds that are there."""
        return tuple(kind.name for kind in self.unit_kinds)

    def counts(self, mask: NDArray[np.bool_]) -> dict[str, int]:
        """How many units of each kind, in the order of `kinds`, are in a mask `[n]`."""
        return {name: int((mask & (self.kind == name)).sum()) for name in self.kinds}

    def name(self, unit: int) -> str:
        """`L3.H7` for head 7 of layer 3, `L2.F12` for FFN block 12 of layer 2; all counted from 0."""
        site = self.sites[bisect_right(self._starts, unit) - 1]
        return f"L{site.layer}.{site.kind.unit_name(site, unit - site.units.start)}"

    @cached_property
    def _starts(self) -> list[int]:
        return [site.units.start for site in self.sites]


def inventory(
    model: nn.Module, kinds: Sequence[UnitKind | str] | None = None, block: int = 32, *, cuttable: bool = True
) -> Inventory:
    """Count the units of a model from its weights, so that a compacted model is counted as it is.

    Args:
        model: a Hugging Face transformer: the base model, one with a head, or a module that holds one.
        kinds: the kinds of unit to trade, objects or names with parameters (`ffn:neurons=8`); None: the finest kinds
            that the family has. Sub-layers without units of these kinds are not traded, and stay.
        block: FFN neurons per unit, where `kinds` does not say it.
        cuttable: refuse weights that cannot be cut, quantised or adapted ones; False where units get gates alone.

    Raises:
        InputError: as `check_tradable`; `block` below 1; kinds none of which the model has, or two that overlap.
        UnknownNameError: a family that is not in the table of architectures; an unknown kind.
    """
    check_tradable(model, cuttable)
    if kinds is None:
        wanted = finest_kinds(block)
    elif isinstance(kinds, (str, int)) or not kinds:
        raise InputError(f"kinds = {kinds!r}; valid: a list of unit kinds, such as {[*UNIT_KINDS]}")
    else:
        wanted = tuple(UNIT_KINDS.make(kind, neurons=block) for kind in kinds)
    sites = tuple(_sites(model, wanted))
    if kinds is not None:
        _check_present(model, wanted, sites)
    columns = (
        _column(sites, [site.kind.name for site in sites], np.str_),
        _column(sites, [site.layer for site in sites], np.int64),
        np.concatenate([site.first + np.arange(len(site)) for site in sites] or [np.zeros(0, np.int64)]),
        np.concatenate([site.widths for site in sites] or [np.zeros(0, np.int64)]),
    )
    for column in columns:
        column.flags.writeable = False
    return Inventory(*columns, sites)


def _check_present(model: nn.Module, kinds: Sequence[UnitKind], sites: Sequence[Site]) -> None:
    """Refuse a kind of which a model has no units: whoever names it expects to trade some."""
    present = {site.kind for site in sites}
    for kind in kinds:
        if kind not in present:
            has = dict.fromkeys(site.kind.name for site in _sites(model, finest_kinds()))
            raise InputError(
                f"{type(model).__name__} has no units of kind {kind.name!r}; it has: {', '.join(has) or 'none left'}"
            )


def _column(sites: Sequence[Site], values: Sequence[Any], dtype: Any) -> Any:
    """One value per site, repeated for each of its units."""
    return np.repeat(np.array(values, dtype=dtype), [len(site) for site in sites])


def _sites(model: nn.Module, kinds: Sequence[UnitKind]) -> Iterator[Site]:
    """Sites in the order of their units; a sub-layer that lost all its units has none."""
    start = 0
    for layer in layers_of(model):
        taken: Counter[str] = Counter()
        for kind in kinds:
            for site in kind.sites(layer):
                taken[site.sublayer] += 1
                if taken[site.sublayer] > 1:
                    names = " and ".join(k.name for k in kinds)
                    raise InputError(f"kinds {names} overlap in the sub-layer {site.path}; choose one of them")
                yield replace(site, units=slice(start, start + len(site)))
                start += len(site)


def sites_and_layers(model: nn.Module, inventory: Inventory) -> Iterator[tuple[Site, Layer]]:
    """Each site and the layer that it is in, checked to be as the inventory says.

    Raises:
        InputError: the inventory was taken from another model, or before slicing.
    """
    layers = layers_of(model)
    if inventory.sites and inventory.sites[-1].layer >= len(layers):
        raise InputError(f"the inventory has layer {inventory.sites[-1].layer}, and the model only {len(layers)}")
    for site in inventory.sites:
        layer = layers[site.layer]
        if not site.path.startswith(f"{layer.path}."):
            raise InputError(f"{type(model).__name__} has no module {site.path!r}: it is not the inventory's model")
        site.kind.check(layer, site)
        yield site, layer


def members(model: nn.Module, inventory: Inventory, mask: NDArray[np.bool_]) -> dict[str, int]:
    """How many query heads, by kind of unit, the units in a mask `[n]` hold; only of kinds that hold several."""
    found: dict[str, int] = {}
    for site, layer in sites_and_layers(model, inventory):
        each = site.kind.members(layer, site)
        if each > 1:
            found[site.kind.name] = found.get(site.kind.name, 0) + each * int(mask[site.units].sum())
    return found


def projections(model: nn.Module, inventory: Inventory) -> tuple[nn.Module, ...]:
    """The output projections of the inventory's sites, checked to be as wide as the inventory says.

    Raises:
        InputError: as `sites_and_layers`, and for units that own no features of a projection.
    """
    return tuple(_projection(site, layer) for site, layer in sites_and_layers(model, inventory))


def _projection(site: Site, layer: Layer) -> nn.Module:
    found = site.kind.projection(layer, site)
    if found is None:
        raise InputError(f"units of kind {site.kind.name!r} own no features of an output projection ({site.path})")
    return found
