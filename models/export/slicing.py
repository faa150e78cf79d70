"""Removing units for good: a smaller model whose output equals the gated one's."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import layers_of
from walras.models.export.copying import own_copy, shared_copy
from walras.models.units.inventory import Inventory, sites_and_layers


def compact(
    model: nn.Module, inventory: Inventory, keep: Tensor | NDArray[np.bool_], *, share: bool = False
) -> nn.Module:
    """A copy of a model from which the weights of the dropped units are cut out.

    A sub-layer that loses all its units contributes its output projection's bias and computes nothing else.
    Names in the state dict stay the stock model's, so that the same call on a freshly made stock model gives
    the skeleton into which the small weights load. The configuration stays the stock model's too. Besides the model
    that is given, memory holds no more than the smaller one.

    Args:
        model: the model that `inventory` was taken from, without gates.
        inventory: its units, n of them.
        keep: bool `[n]`, the units that stay.
        share: let weights that are not cut lie in the same memory as the model's: a later change in place of either
            changes both. For networks that are run and thrown away, which then take no memory but for what was cut.

    Raises:
        InputError: `keep` of another shape or type; an inventory of another model; quantised projections.
    """
    kept = torch.as_tensor(keep).cpu()
    if kept.dtype != torch.bool or kept.shape != (len(inventory),):
        given = f"{kept.dtype} of shape {tuple(kept.shape)}"
        raise InputError(f"keep is {given}; valid: bool [{len(inventory)}], one for each unit")
    for _ in sites_and_layers(model, inventory):
        pass  # refuses an inventory of another model before anything is copied
    small = shared_copy(model)
    layers = layers_of(small)
    for site in inventory.sites:
        units = kept[site.units]
        if not bool(units.all()):
            site.kind.cut(layers[site.layer], site, units)
    return small if share else own_copy(small, model)
