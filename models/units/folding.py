"""Gates that are neither 0 nor 1, written into the weights."""

import torch
from torch import Tensor, nn

from walras.models.units.inventory import Inventory
from walras.models.units.weights import output_weights


@torch.no_grad()
def fold(model: nn.Module, inventory: Inventory, gates: Tensor) -> None:
    """Multiply every unit's slice of its output projection by its gate `[n]`: the gated network, without gates."""
    for site, weight in output_weights(model, inventory):
        own = gates[site.units].to(weight)
        weight.mul_(own.repeat_interleave(site.block)[: site.width])
