"""What every unit holds: the parameters that slicing it out removes."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.models.architectures import architecture, layer_paths, submodule
from walras.models.resources.resource import Column, Resource
from walras.models.units.inventory import Inventory, projections
from walras.models.units.projections import features


@final
@dataclass(frozen=True, eq=False)
class Parameters(Resource):
    """Rows of the projections into a sub-layer with their biases, and columns of its output projection.

    `own` `[n]` are each unit's; `shared` `[n]` those that its whole sub-layer's removal takes besides (norms of queries
    and keys, which Qwen3 keeps inside attention). Embeddings, norms between sub-layers, biases of output projections
    and heads of the model lie outside, as they do for MACs: no unit's leaving changes them.
    """

    name: ClassVar[str] = "parameters"
    unit: ClassVar[str] = "parameters"
    own: Column
    shared: Column
    inventory: Inventory

    @property
    def additive(self) -> bool:  # type: ignore[override]  # it depends on the model
        """Whether nothing is shared."""
        return not self.shared.any()

    @cached_property
    def dense(self) -> float:
        """What all units hold together."""
        firsts = [site.units.start for site in self.inventory.sites]
        return float(self.own.sum() + self.shared[firsts].sum())

    def marginal(self, rank: NDArray[np.int64]) -> Column:
        """A unit's own; the first of a sub-layer brings what is shared."""
        return self.own + np.where(rank == 0, self.shared, 0.0)


def parameters(model: nn.Module, inventory: Inventory) -> Parameters:
    """Count what `compact` removes with each unit of `inventory`, which was taken from `model`.

    Raises:
        InputError: an inventory of another model.
    """
    row, below = architecture(model), layer_paths(model)
    own, shared = np.zeros(len(inventory)), np.zeros(len(inventory))
    for site, output in zip(inventory.sites, projections(model, inventory), strict=True):
        width = inventory.width[site.units].astype(np.float64)
        sublayer = row.heads if site.kind == "head" else row.ffn
        own[site.units] = width * features(output)[1]
        inputs = [submodule(model, f"{below[site.layer]}.{projection.path}") for projection in sublayer.inputs]
        for module in inputs:
            read, written = features(module)
            biased = module.bias is not None
            own[site.units] += written * width / site.width * (read + biased)
        if site.kind == "head":
            attention = submodule(model, f"{below[site.layer]}.{row.attention}")
            shared[site.units] = _besides(attention, [*inputs, output])
    for column in (own, shared):
        column.flags.writeable = False
    return Parameters(own, shared, inventory)


def _besides(attention: nn.Module, projections: list[nn.Module]) -> int:
    """Parameters of an attention module that are in none of its projections."""
    known = {id(p) for module in projections for p in module.parameters()}
    return sum(p.numel() for p in attention.parameters() if id(p) not in known)
