"""What every unit holds: the parameters, or their bytes, that slicing it out removes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from torch import Tensor, nn

from walras.models.resources.resource import Resource, Tell, Usage, Workload, log
from walras.models.resources.untraded import untraded_sites
from walras.models.units.inventory import Inventory, sites_and_layers


@final
@dataclass(frozen=True)
class Parameters(Resource):
    """Parameters that leave with a unit.

    Of a head, for example, rows of the projections into attention with their biases, and columns of the output
    projection; what its whole sub-layer's removal takes besides (norms of queries and keys, which Qwen3 keeps inside
    attention) is a step of the sub-layer's first unit. Embeddings, norms between sub-layers, biases of output
    projections and heads of the model lie outside, as they do for MACs: no unit's leaving changes them.
    """

    name: ClassVar[str] = "parameters"
    unit: ClassVar[str] = "parameters"

    def measure(self, model: nn.Module, inventory: Inventory, workload: Workload, tell: Tell = log.info) -> Usage:
        """Count what `compact` removes with each unit."""
        del workload, tell
        return removable(self, model, inventory, lambda tensor: 1)


@final
@dataclass(frozen=True)
class Bytes(Resource):
    """Bytes of the parameters that leave with a unit, in the type in which the network holds them."""

    name: ClassVar[str] = "bytes"
    unit: ClassVar[str] = "bytes"

    def measure(self, model: nn.Module, inventory: Inventory, workload: Workload, tell: Tell = log.info) -> Usage:
        """Count by how much the state dict shrinks with each unit."""
        del workload, tell
        return removable(self, model, inventory, lambda tensor: tensor.element_size())


def removable(resource: Resource, model: nn.Module, inventory: Inventory, weight: Callable[[Tensor], float]) -> Usage:
    """Sum what leaves with each unit, an element of a tensor counting `weight(tensor)`.

    Raises:
        InputError: an inventory of another model.
    """
    own, steps = np.zeros(len(inventory)), np.zeros(len(inventory))
    for site, layer in sites_and_layers(model, inventory):
        for part in site.kind.weights(layer, site):
            own[site.units] += part.own * weight(part.tensor)
            steps[site.units.start] += part.rest * weight(part.tensor)
    fixed = sum(
        float(part.own.sum() + part.rest) * weight(part.tensor)
        for site, layer in untraded_sites(model, inventory)
        for part in site.kind.weights(layer, site)
    )
    return Usage(resource.name, resource.unit, inventory, own, steps, float(fixed))


def parameters(model: nn.Module, inventory: Inventory) -> Usage:
    """`Parameters` of a network.

    Raises:
        InputError: an inventory of another model.
    """
    return Parameters().measure(model, inventory, Workload())
