"""Weights by unit."""

from collections.abc import Iterator

from torch import Tensor, nn

from walras.models.units.inventory import Inventory, Site, projections
from walras.models.units.projections import outputs_first


def output_weights(model: nn.Module, inventory: Inventory) -> Iterator[tuple[Site, Tensor]]:
    """Each site and the weight [out, width] of its output projection; column j is what feature j writes."""
    for site, projection in zip(inventory.sites, projections(model, inventory), strict=True):
        yield site, outputs_first(projection)
