"""The linear maps of a network of which every token buys a part, and what a part costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import nn

from walras.errors import InputError
from walras.models.architectures import Layer, layers_of
from walras.models.export.modeling_walras import Emptied
from walras.models.families import SubLayer
from walras.models.units.projections import check_map, features


@final
@dataclass(frozen=True)
class TokenMap:
    """One linear map, and the bidders that buy its multiplications.

    A bidder is an input feature, which buys the column of weights that it is multiplied by; or (`signal` is named) a
    neuron of a gated FFN, which buys the row that computes what its activated gate is multiplied by.
    """

    layer: int
    path: str  # of the map, below the model
    name: str  # "query", "gate", "down", ...
    inputs: int
    outputs: int
    signal: str = ""  # path of the activation function behind the gate, for neurons

    @property
    def bidders(self) -> int:
        """Number of bidders per token."""
        return self.outputs if self.signal else self.inputs

    @property
    def cost(self) -> int:
        """Multiplications that one bidder buys per token."""
        return self.inputs if self.signal else self.outputs


def token_maps(model: nn.Module) -> tuple[TokenMap, ...]:
    """The maps of all layers, from the bottom to the top; experts of a mixture are computed in full, and not traded.

    Raises:
        UnknownNameError: a family that is in no row of the table of architectures.
        InputError: a map that is no plain linear map, or a network without any.
    """
    found = tuple(traded for layer in layers_of(model) for traded in _maps(layer))
    if not found:
        raise InputError(f"{type(model).__name__} has no linear map of which a token could buy a part")
    return found


def _maps(layer: Layer) -> Iterator[TokenMap]:
    """The maps of one layer."""
    heads, ffn = layer.row.heads, layer.ffn
    if not isinstance(layer.at(heads.output), Emptied):
        yield from _features(layer, heads, [*("+".join(p.parts) for p in heads.inputs), "output"])
    if ffn is None or isinstance(layer.at(ffn.output), Emptied):
        return
    paths = [projection.path for projection in ffn.inputs]
    signal = f"{paths[0].rpartition('.')[0]}.act_fn"
    if len(paths) == 2 and _has(layer, signal):
        yield from _features(layer, SubLayer(ffn.inputs[:1], ""), ["gate"])
        up = layer.at(paths[1])
        check_map(up, f"{layer.path}.{paths[1]}")
        yield TokenMap(layer.index, f"{layer.path}.{paths[1]}", "up", *features(up), f"{layer.path}.{signal}")
        yield from _features(layer, SubLayer((), ffn.output), ["down"])
    else:
        names = ["up"] if len(paths) == 1 else ["gate", "up"]
        yield from _features(layer, ffn, [*names, "down"])


def _features(layer: Layer, sublayer: SubLayer, names: list[str]) -> Iterator[TokenMap]:
    """Maps whose input features bid."""
    paths = [*(projection.path for projection in sublayer.inputs), *([sublayer.output] if sublayer.output else [])]
    for path, name in zip(paths, names, strict=True):
        module = layer.at(path)
        check_map(module, f"{layer.path}.{path}")
        yield TokenMap(layer.index, f"{layer.path}.{path}", name, *features(module))


def _has(layer: Layer, path: str) -> bool:
    """Whether a layer has a module at a path."""
    try:
        layer.module.get_submodule(path)
    except AttributeError:
        return False
    return True
