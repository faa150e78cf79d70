"""Removing units for good: a smaller model whose output equals the gated one's."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import Architecture, Projection, SubLayer, architecture, layer_paths, submodule
from walras.models.export.modeling_walras import bias_only, replace, tell_attention
from walras.models.units.inventory import Inventory, Site, projections
from walras.models.units.projections import cut, features


def layout(row: Architecture) -> dict[str, Any]:
    """A row of the table as the plain data that `modeling_walras` works from."""
    return {
        "layers": row.layers,
        "attention": row.attention,
        "head_size": row.head_size,
        "counters": dict(row.counters),
        "cache": row.cache,
        "head_bias": row.head_bias,
        "heads": _sublayer(row.heads),
        "ffn": _sublayer(row.ffn),
    }


def _sublayer(sublayer: SubLayer) -> dict[str, Any]:
    return {"inputs": [[p.path, list(p.parts)] for p in sublayer.inputs], "output": sublayer.output}


def compact(model: nn.Module, inventory: Inventory, keep: Tensor | NDArray[np.bool_]) -> nn.Module:
    """Copy a model and cut the weights of the dropped units out of the copy.

    A sub-layer that loses all its units contributes its output projection's bias and computes nothing else.
    Names in the state dict stay the stock model's, so that the same call on a freshly made stock model gives
    the skeleton into which the small weights load. The configuration stays the stock model's too.

    Args:
        model: the model that `inventory` was taken from, without gates.
        inventory: its units, n of them.
        keep: bool `[n]`, the units that stay.

    Raises:
        InputError: `keep` of another shape or type; an inventory of another model; quantised projections.
    """
    kept = torch.as_tensor(keep).cpu()
    if kept.dtype != torch.bool or kept.shape != (len(inventory),):
        given = f"{kept.dtype} of shape {tuple(kept.shape)}"
        raise InputError(f"keep is {given}; valid: bool [{len(inventory)}], one for each unit")
    projections(model, inventory)  # refuses an inventory of another model before anything is copied
    small = copy.deepcopy(model)
    row, below = architecture(small), layer_paths(small)
    for site in inventory.sites:
        units = kept[site.units]
        if not bool(units.all()):
            _cut_site(small, row, below[site.layer], site, units)
    return small


def _cut_site(model: nn.Module, row: Architecture, below: str, site: Site, units: Tensor) -> None:
    """Keep only `units` (bool `[units of the site]`) of one sub-layer."""
    sublayer = row.heads if site.kind == "head" else row.ffn
    for projection in sublayer.inputs:
        module = submodule(model, f"{below}.{projection.path}")
        cut(module, outputs=_rows(projection, features(module)[1], site, units))
    output = submodule(model, site.path)
    cut(output, inputs=units[site.owner].nonzero().flatten())
    if not bool(units.any()):
        replace(model, site.path, bias_only(output))
    if site.kind == "head":
        _tell_attention(model, row, below, site, units)


def _rows(projection: Projection, total: int, site: Site, units: Tensor) -> Tensor:
    """Output features of an input projection that belong to the units that stay, in their order."""
    parts = len(projection.parts)
    # Under grouped-query attention a unit has fewer features in key and value than in the output's input.
    block = site.block * (total // parts) // site.width
    if projection.interleaved:
        return units[torch.arange(total) // (parts * block)].nonzero().flatten()
    return units[torch.arange(total // parts) // block].repeat(parts).nonzero().flatten()


def _tell_attention(model: nn.Module, row: Architecture, below: str, site: Site, units: Tensor) -> None:
    """Bring the attention module in line with the heads that are left."""
    layer = submodule(model, below)
    attention: Any = submodule(layer, row.attention)
    head = int(getattr(attention, row.head_size))
    heads = units.repeat_interleave(site.block // head).nonzero().flatten()
    bias_heads: list[int] | None = None
    if row.head_bias:
        before = getattr(attention, "bias_heads", range(len(units)))  # where heads have been cut before
        bias_heads = [before[i] for i in heads.tolist()]
    tell_attention(layer, layout(row), site.layer, len(heads), bias_heads)
