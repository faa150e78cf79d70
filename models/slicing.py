"""Removing units for good: a smaller model whose output equals the gated one's."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import Architecture, Projection, architecture, layer_paths, submodule
from walras.models.inventory import Inventory, Site, projections
from walras.models.projections import bias_only, cut, features


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
        _replace(model, site.path, bias_only(output))
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
    path = f"{below}.{row.attention}"
    attention = submodule(model, path)
    head = int(getattr(attention, row.head_size))
    if not bool(units.any()):
        inside = row.heads.output.startswith(f"{row.attention}.")
        name = row.heads.output.removeprefix(f"{row.attention}.") if inside else ""
        silent = HeadlessAttention(submodule(model, site.path) if inside else None, name, row.cache, site.layer)
        silent.train(attention.training)
        _replace(model, path, silent)
        attention = silent
        setattr(attention, row.head_size, head)
    elif row.head_bias:
        heads = units.repeat_interleave(site.block // head).nonzero().flatten()
        attention.register_forward_pre_hook(_HeadBias(row.head_bias, heads), with_kwargs=True)
    left = int(units.sum()) * site.block
    for name, counted in row.counters.items():
        setattr(attention, name, {"heads": left // head, "features": left}[counted])


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


@final
class HeadlessAttention(nn.Module):
    """Stands in for an attention module all of whose heads were removed.

    Stock modules cannot run without heads (a view with -1 is ambiguous on no elements). Returns what they
    return, `(output, weights)`: the output projection's bias where attention holds that projection, else
    features of width 0 for the projection that follows. Dropout inside attention falls away.
    """

    def __init__(self, projection: nn.Module | None, name: str, cache: str, layer: int) -> None:
        super().__init__()
        if projection is not None:
            self.add_module(name, projection)  # under its old name, for the state dict
        self.projection = name
        self.cache = cache
        self.layer = layer

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """`[batch, length, hidden]` to `[batch, length, hidden]` or `[batch, length, 0]`; no weights."""
        del args
        cache = kwargs.get(self.cache)
        if cache is not None:
            # A cache counts the tokens so far by its first layer's keys: one number a token keeps the count.
            token = hidden_states.new_zeros(len(hidden_states), 1, hidden_states.shape[1], 1)
            cache.update(token, token, self.layer)
        nothing = hidden_states.new_zeros(*hidden_states.shape[:-1], 0)
        return (self.get_submodule(self.projection)(nothing) if self.projection else nothing), None


@final
@dataclass(frozen=True, eq=False)
class _HeadBias:
    """Passes on the rows of a bias `[batch, heads, query, key]` that belong to the heads that are left."""

    argument: str
    heads: Tensor

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        bias = bound.arguments.get(self.argument)
        if bias is not None:
            bound.arguments[self.argument] = bias[:, self.heads.to(bias.device)]
        return bound.args, bound.kwargs
