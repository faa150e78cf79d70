"""Weights by unit."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from walras.models.units.inventory import Inventory, sites_and_layers
from walras.models.units.site import Site


def output_weights(model: nn.Module, inventory: Inventory) -> Iterator[tuple[Site, Tensor]]:
    """Each site and its output weight [hidden, width], detached; column j is what feature j writes.

    Raises:
        InputError: an inventory of another model; units of a kind that has no such weights.
    """
    for site, layer in sites_and_layers(model, inventory):
        yield site, site.kind.output_weight(layer, site).detach()


@torch.no_grad()
def fold(model: nn.Module, inventory: Inventory, gates: Tensor) -> None:
    """Write gates `[n]` that are neither 0 nor 1 into the weights: the gated network, without gates.

    Raises:
        InputError: an inventory of another model; units of a kind whose gates cannot be written into weights.
    """
    for site, layer in sites_and_layers(model, inventory):
        site.kind.fold(layer, site, gates[site.units])
