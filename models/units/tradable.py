"""Networks whose units cannot be traded, refused before anything is computed."""

from collections.abc import Iterator

import torch
from torch import nn

from walras.errors import InputError
from walras.models.architectures import Layer, layers_of, transformer
from walras.models.checkpoint_config import check_not_quantised
from walras.models.families import SubLayer
from walras.models.units.mixtures import MixtureLayer
from walras.models.units.projections import check_map, features


def check_tradable(model: nn.Module, cuttable: bool = True) -> None:
    """Refuse a network out of which units could not be cut (unless they need not), or whose units are not all counted.

    Raises:
        UnknownNameError: a family that is in no row.
        InputError: no transformer, or several; cross-attention; quantised weights; a network that `walras sparsify`
            has made; maps that are no plain linear maps, whose widths do not fit one another, or that two layers share.
            The message names the module.
    """
    network = transformer(model)
    if getattr(network.config, "add_cross_attention", False):
        raise InputError(
            f"{type(network).__name__} has cross-attention (add_cross_attention), whose heads are neither traded nor "
            "counted here; give a model without it"
        )
    if cuttable:
        check_not_quantised(network.config, type(network).__name__)
    if any(_is_market(module) for module in network.modules()):
        raise InputError(
            f"the tokens of this {type(network).__name__} buy what they are computed with already, at prices of these "
            "weights; give the dense network that walras sparsify made it of"
        )
    seen: dict[int, str] = {}
    for layer in layers_of(model):
        if layer.mixture is not None:
            MixtureLayer.of_layer(layer).check(f"{layer.path}.{layer.mixture.router}")
        for sublayer in _sublayers(layer, cuttable):
            paths = [*(projection.path for projection in sublayer.inputs), sublayer.output]
            for path in paths:
                if cuttable:
                    check_map(layer.at(path), f"{layer.path}.{path}")
                first = seen.setdefault(id(layer.at(path)), f"{layer.path}.{path}")
                if first != f"{layer.path}.{path}":
                    raise InputError(
                        f"{layer.path}.{path} is the same module as {first}; a unit that two layers share cannot be "
                        "traded: give each a copy of its own"
                    )
            _check_widths(layer, sublayer)


def _is_market(module: nn.Module) -> bool:
    """Whether a module is a map of which a token buys a part; by its name, as a folder brings a class of its own."""
    return type(module).__module__.rpartition(".")[2] == "modeling_sparsified" and hasattr(module, "price")


def check_loaded(model: nn.Module) -> None:
    """Refuse a network without numbers.

    Raises:
        InputError: naming the first parameter on the meta device.
    """
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.device == torch.device("meta"):
            raise InputError(f"{type(model).__name__} has no weights: {name} is on the meta device; load them first")


def _sublayers(layer: Layer, cuttable: bool) -> Iterator[SubLayer]:
    """Attention and FFN of a layer, as far as any unit of them is left."""
    for sublayer in (layer.row.heads, layer.ffn):
        if sublayer is None:
            continue
        output = layer.at(sublayer.output)
        if cuttable:
            check_map(output, f"{layer.path}.{sublayer.output}")
        if features(output)[0]:
            yield sublayer


def _check_widths(layer: Layer, sublayer: SubLayer) -> None:
    """What the maps write is as wide as what the output projection reads; keys are as wide as values."""
    width = features(layer.at(sublayer.output))[0]
    widths: dict[str, int] = {}
    for projection in sublayer.inputs:
        wrote = features(layer.at(projection.path))[1] // len(projection.parts)
        for part in projection.parts:
            expected = widths.setdefault("key" if part == "value" else part, wrote)
            if part in ("query", "ffn_in"):
                expected = width
            if wrote != expected:
                raise InputError(
                    f"{layer.path}.{projection.path} writes {wrote} features ({part}) where {expected} are read: the "
                    "layer was cut by other means, and not all of it"
                )
