"""Removing units from a network that others hold on to: an optimizer, a wrapper, a training loop."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import layers_of, submodule
from walras.models.export.checkpoints import add_code, described
from walras.models.units.inventory import Inventory, sites_and_layers
from walras.models.units.projections import features
from walras.models.units.site import Site

Replaced = dict[nn.Parameter, nn.Parameter | None]
"""The parameter that is in the place of another one; None where there is none any more."""


@torch.no_grad()
def cut_in_place(model: nn.Module, inventory: Inventory, keep: Tensor | NDArray[np.bool_]) -> Replaced:
    """Cut the weights of the units that do not stay out of the network itself.

    It becomes what `compact` returns, but every module that is left is the same object as before, and so is every
    parameter that is not cut. Those that are cut are replaced by others, without a gradient: a graph that somebody
    still holds knows the former ones by their sizes.

    Args:
        model: the network that `inventory` was taken from, without gates.
        inventory: its units, n of them.
        keep: bool `[n]`, the units that stay.

    Returns:
        What was replaced, which an optimizer must be told of.

    Raises:
        InputError: an inventory of another network; quantised projections.
    """
    kept, before = torch.as_tensor(keep).cpu(), dict(model.named_parameters())
    layers = layers_of(model)
    for site in [site for site, _ in sites_and_layers(model, inventory)]:
        units = kept[site.units]
        if not bool(units.all()):
            site.kind.cut(layers[site.layer], site, units)
    now = dict(model.named_parameters())
    return {old: now.get(name) for name, old in before.items() if now.get(name) is not old}


def cut_to_fit(model: nn.Module, inventory: Inventory, tensors: Mapping[str, Tensor]) -> bool:
    """Cut as many units out of each sub-layer as weights of a smaller network want, in place; whether any were cut.

    Which units stay is arbitrary: the weights are about to be loaded.

    Args:
        model: the network that `inventory` was taken from.
        inventory: its units.
        tensors: weights by name.

    Raises:
        InputError: widths that no cut leads to.
    """
    keep = np.ones(len(inventory), dtype=bool)
    for site, _ in sites_and_layers(model, inventory):
        stock, wanted = _width(model, site), _width(model, site, tensors)
        if wanted is None or wanted == stock:
            continue
        keep[site.units] = _of_width(site, wanted, stock)
    if not keep.all():
        cut_in_place(model, inventory, keep)
    return not bool(keep.all())


@final
class FitsSmaller:
    """A hook before weights are loaded into a network: those of a smaller one cut it to their shapes first.

    It holds nothing but the units, so that copies and files of the network stay what they are without it.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._units = inventory

    def __call__(self, module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, *_: object) -> None:
        """Registered by `register_load_state_dict_pre_hook`.

        Raises:
            InputError: widths that no cut leads to.
        """
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if any(getattr(own.get(name), "shape", p.shape) != p.shape for name, p in module.named_parameters()):
            cut_to_fit(module, self._units, own)


def _width(model: nn.Module, site: Site, tensors: Mapping[str, Tensor] | None = None) -> int | None:
    """Features, or experts, that a sub-layer has, or has in these weights; None where they do not say."""
    module = submodule(model, site.path)
    for name, parameter in module.named_parameters(recurse=False):
        shape = parameter.shape if tensors is None else getattr(tensors.get(f"{site.path}.{name}"), "shape", None)
        if parameter.ndim == 3:  # experts side by side
            return None if shape is None else int(shape[0])
        if parameter.ndim == 2:
            return None if shape is None else int(shape.numel()) // max(features(module)[1], 1)
    return None


def _of_width(site: Site, wanted: int, stock: int | None) -> NDArray[np.bool_]:
    """Units of a sub-layer, bool [units], that have so many of its features, or experts, together.

    Raises:
        InputError: none do.
    """
    widths = site.widths if int(site.widths.sum()) == stock else np.ones(len(site), dtype=np.int64)
    last = int(widths[-1]) if wanted % int(widths[0]) else 0  # the only one that may be smaller than the others
    left = np.zeros(len(site), dtype=bool)
    left[: (wanted - last) // int(widths[0])] = True
    left[-1] |= last > 0
    if int(widths[left].sum()) != wanted:
        raise InputError(f"{site.path} has {wanted} of {stock} features: no whole units")
    return left


def save_as_export(model: Any) -> None:
    """Let `model.save_pretrained` write what `walras export` would, which reloads though layers differ in size."""
    model.save_pretrained = partial(_save_export, model)  # which copies and pickles with the model, as no method does


def _save_export(model: Any, folder: str | Path, **options: Any) -> None:
    """The network with the configuration of its layers, and the file of code that reads it."""
    shell = described(model)
    shell.__dict__.pop("save_pretrained", None)
    shell.save_pretrained(folder, **options)
    if options.get("is_main_process", True):
        add_code(Path(folder))
