"""Sub-layers that are not for sale: what they use of a resource stays, whatever is bought."""

from collections.abc import Iterator

from torch import nn

from walras.models.architectures import Layer
from walras.models.units.inventory import Inventory, inventory, sites_and_layers
from walras.models.units.site import Site


def untraded_sites(model: nn.Module, units: Inventory) -> Iterator[tuple[Site, Layer]]:
    """The sites of the finest kinds in sub-layers in which no unit of an inventory is, each with its layer."""
    traded = {(site.layer, site.sublayer) for site in units.sites}
    whole = inventory(model, cuttable=False)
    if all((site.layer, site.sublayer) in traded for site in whole.sites):
        return
    for site, layer in sites_and_layers(model, whole):
        if (site.layer, site.sublayer) not in traded:
            yield site, layer
