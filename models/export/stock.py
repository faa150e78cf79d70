"""Models that were pruned alike in every layer, as models of transformers' own classes: no code goes along."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import nn

from walras.errors import InputError
from walras.models.architectures import Layer, layers_of
from walras.models.export.modeling_walras import PREFIX
from walras.models.export.reloading import KEY
from walras.models.units.mixtures import MixtureLayer

PerLayer = Mapping[int, Mapping[str, Any]]
_INSTEAD = "without --stock it is exported with a file of code, and loads with trust_remote_code=True"


def as_stock(model: nn.Module, left: PerLayer) -> Any:
    """The model with a configuration, and the class, of transformers alone; weights are shared.

    Args:
        model: of a class of transformers, sliced or not.
        left: what is left of each layer (`per_layer`).

    Raises:
        InputError: layers that differ or have lost all their units; a family that cannot say what is left.
    """
    name = type(model).__name__.removeprefix(PREFIX)
    config: Any = copy.deepcopy(model.config)
    config.per_layer_config = None
    for key in (KEY, "auto_map"):
        config.__dict__.pop(key, None)
    sizes: dict[str, int] = {}
    for layer in layers_of(model):
        for key, (value, what) in _settings(layer, left[layer.index]).items():
            if value == 0:
                raise InputError(f"--stock: layer {layer.index} has no {what} left, which {name} must have; {_INSTEAD}")
            if sizes.setdefault(key, value) != value:
                raise InputError(
                    f"--stock: layer {layer.index} has {value} {what} and a layer before it {sizes[key]}; {name} has "
                    f"one number for all layers; {_INSTEAD}"
                )
    if "num_experts_per_tok" in config.to_dict():  # a token gets all experts where they are fewer than it would get
        mixed = [MixtureLayer.of_layer(layer).chosen for layer in layers_of(model) if layer.mixture is not None]
        sizes["num_experts_per_tok"] = min(mixed, default=config.num_experts_per_tok)
    cut = sizes["num_attention_heads"] != config.num_attention_heads
    if cut:
        attention: Any = layers_of(model)[0]
        sizes["head_dim"] = int(getattr(attention.at(attention.row.attention), attention.row.head_size))
    for key, value in sizes.items():
        setattr(config, key, value)
    stock: Any = getattr(transformers, name)
    reason = _misfit(model, stock, config)
    if reason and cut:
        raise InputError(
            f"--stock: {sizes['num_attention_heads']} heads are left of each layer, and {name} takes the size of a "
            f"head from hidden_size / heads, so that it cannot have fewer; {_INSTEAD}"
        )
    if reason:
        raise InputError(f"--stock: {name} cannot hold these weights: {reason}; {_INSTEAD}")
    plain: Any = copy.copy(model)
    plain.config, plain.__class__ = config, stock
    plain._weight_conversions = None  # names as in other checkpoints of the family
    return plain


def _settings(layer: Layer, left: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """What a layer has left by the name of its setting, and in words."""
    found = {"num_attention_heads": (left["attention_heads"], "attention heads")}
    if "key_value_heads" in left:
        found["num_key_value_heads"] = (left["key_value_heads"], "key-value heads")
    if layer.mixture is not None:
        found[layer.mixture.count] = (left["experts"], "experts")
    if layer.ffn is not None:
        key = layer.row.width if layer.mixture is None else layer.mixture.shared_width
        found |= {key: (left["ffn_neurons"], "FFN neurons")} if key else {}
    return found


def _misfit(model: nn.Module, stock: Any, config: Any) -> str:
    """What would not fit if the class was made anew from the configuration; empty if all does."""
    try:
        with torch.device("meta"):
            shapes = {name: tensor.shape for name, tensor in stock(copy.deepcopy(config)).state_dict().items()}
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return str(error).splitlines()[0]
    ours = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for name in sorted(shapes.keys() | ours.keys()):
        if shapes.get(name) != ours.get(name):
            return f"{name} is {[*ours.get(name, ['missing'])]}, and would be {[*shapes.get(name, ['missing'])]}"
    return ""
