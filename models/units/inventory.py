"""What can be traded in a transformer: its attention heads and blocks of its FFN neurons."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import Architecture, architecture, layer_paths, submodule
from walras.models.units.projections import features

Kind = Literal["head", "ffn"]
_LETTER = {"head": "H", "ffn": "F"}


@final
@dataclass(frozen=True)
class Site:
    """The output projection of one sub-layer; each of its input features belongs to one unit.

    Unit `units.start + u` owns features `u * block` up to `(u + 1) * block`; the last unit may own fewer.
    """

    path: str  # of the output projection, below the model given
    layer: int
    kind: Kind
    units: slice
    block: int
    width: int

    @property
    def owner(self) -> Tensor:
        """LongTensor `[width]`: the unit of the site, counted from 0, that owns each feature."""
        return torch.arange(self.width) // self.block


@final
@dataclass(frozen=True, eq=False)
class Inventory:
    """All units of a model, one row each, sorted by layer, heads before FFN blocks, index."""

    kind: NDArray[np.str_]  # "head" or "ffn"
    layer: NDArray[np.int64]
    index: NDArray[np.int64]  # within the layer and kind
    width: NDArray[np.int64]  # input features of the output projection that the unit owns
    sites: tuple[Site, ...]

    def __len__(self) -> int:
        return len(self.kind)

    def name(self, unit: int) -> str:
        """`L3.H7` for head 7 of layer 3, `L2.F12` for FFN block 12 of layer 2; all counted from 0."""
        return f"L{self.layer[unit]}.{_LETTER[str(self.kind[unit])]}{self.index[unit]}"


def inventory(model: nn.Module, block: int = 32) -> Inventory:
    """Count the units of a model from its weights, so that a compacted model is counted as it is.

    A head unit is a query head or, under grouped-query attention, a whole group of query heads with the key
    and value head that they share, since only whole groups can be removed.

    Args:
        model: a Hugging Face transformer: the base model, one with a head, or a module that holds one.
        block: FFN neurons a unit; the last block of a layer may be narrower.

    Raises:
        InputError: `block` below 1, no layers or not exactly one transformer in `model`.
        UnknownNameError: a family that is not in the table of architectures.
    """
    if isinstance(block, bool) or not isinstance(block, int) or block < 1:
        raise InputError(f"block = {block!r}; valid: a whole number of neurons, 1 or more")
    sites = tuple(_sites(model, block))
    units = [(site, index) for site in sites for index in range(site.units.stop - site.units.start)]
    columns = (
        np.array([site.kind for site, _ in units], dtype="<U4"),
        np.array([site.layer for site, _ in units], dtype=np.int64),
        np.array([index for _, index in units], dtype=np.int64),
        np.array([min(site.block, site.width - index * site.block) for site, index in units], dtype=np.int64),
    )
    for column in columns:
        column.flags.writeable = False
    return Inventory(*columns, sites)


def projections(model: nn.Module, inventory: Inventory) -> tuple[nn.Module, ...]:
    """The output projections of the inventory's sites, checked to be as wide as the inventory says.

    Raises:
        InputError: the inventory was taken from another model, or before slicing.
    """
    found = tuple(submodule(model, site.path) for site in inventory.sites)
    for projection, site in zip(found, inventory.sites, strict=True):
        width = features(projection)[0]
        if width != site.width:
            raise InputError(
                f"{site.path} has {width} input features where the inventory has {site.width}: "
                "it was taken from another model, or before slicing"
            )
    return found


def _sites(model: nn.Module, block: int) -> Iterator[Site]:
    """Sites in the order of their units; a sub-layer that lost all its units has none."""
    row, start = architecture(model), 0
    for layer, below in enumerate(layer_paths(model)):
        kinds: tuple[tuple[Kind, str, int], ...] = (
            ("head", row.heads.output, _group_width(model, row, below)),
            ("ffn", row.ffn.output, block),
        )
        for kind, path, size in kinds:
            width = features(submodule(model, f"{below}.{path}"))[0]
            count = -(-width // size)
            if count:
                yield Site(f"{below}.{path}", layer, kind, slice(start, start + count), size, width)
            start += count


def _group_width(model: nn.Module, row: Architecture, below: str) -> int:
    """Input features of the output projection that the queries of one key-value head make up."""
    head = int(getattr(submodule(model, f"{below}.{row.attention}"), row.head_size))
    queries = features(submodule(model, f"{below}.{row.heads.output}"))[0]
    if queries == 0:
        return head
    keys = next(p for p in row.heads.inputs if "key" in p.parts)
    groups = features(submodule(model, f"{below}.{keys.path}"))[1] // len(keys.parts) // head
    if groups == 0 or queries % (groups * head):
        raise InputError(f"{below}: {queries} features in heads of {head} do not divide among {groups} keys")
    return queries // groups
