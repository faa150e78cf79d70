"""What every unit costs: multiply-accumulates of one sequence, by part of the layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.errors import InputError
from walras.models.architectures import architecture, layer_paths, submodule
from walras.models.resources.resource import Resource
from walras.models.units.inventory import Inventory, projections
from walras.models.units.projections import features

PARTS = ("query", "key", "value", "scores", "mix", "output", "ffn_in", "ffn_out")
"""Projections to query, key and value, query times key, probabilities times value, and so on."""


@final
@dataclass(frozen=True, eq=False)
class Macs(Resource):
    """Multiply-accumulates of the layers for one sequence of `length` tokens; columns are float64 `[n]`.

    Embeddings, pooler, language-model head and patch convolution lie outside: no unit's leaving changes them.
    """

    name: ClassVar[str] = "macs"
    unit: ClassVar[str] = "MACs"
    parts: Mapping[str, NDArray[np.float64]]
    length: int
    inventory: Inventory

    def marginal(self, rank: NDArray[np.int64]) -> NDArray[np.float64]:
        """`[n]`: the same at every rank."""
        del rank
        return self.units

    @cached_property
    def units(self) -> NDArray[np.float64]:
        """`[n]`: what each unit costs."""
        total: NDArray[np.float64] = np.sum([*self.parts.values()], axis=0)
        return total

    @cached_property
    def dense(self) -> float:
        """What all units cost together."""
        return float(self.units.sum())

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """`[n]`: each unit's share of `dense`."""
        return self.units / self.dense


def macs(model: nn.Module, inventory: Inventory, length: int) -> Macs:
    """Count what truly runs under eager attention, padding and masked positions included.

    Causal masks and sliding windows save nothing there, so scores and mix are quadratic in `length` for
    every family. Biases, softmax and norms are no multiply-accumulates of a matrix product and count zero, as
    in `torch.utils.flop_counter.FlopCounterMode` (which counts two FLOPs each).

    Args:
        model: the model that `inventory` was taken from.
        inventory: its units, n of them.
        length: tokens of one sequence (for ViT: patches and the class token).

    Raises:
        InputError: `length` below 1, or an inventory of another model.
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise InputError(f"length = {length!r}; valid: a whole number of tokens, 1 or more")
    row, below = architecture(model), layer_paths(model)
    parts = {part: np.zeros(len(inventory)) for part in PARTS}
    for site, output in zip(inventory.sites, projections(model, inventory), strict=True):
        width = inventory.width[site.units].astype(np.float64)
        sublayer = row.heads if site.kind == "head" else row.ffn
        for projection in sublayer.inputs:
            inputs, outputs = features(submodule(model, f"{below[site.layer]}.{projection.path}"))
            rows = outputs // len(projection.parts) * width / site.width
            for part in projection.parts:
                parts[part][site.units] += length * inputs * rows
        out = length * width * features(output)[1]
        if site.kind == "head":
            parts["output"][site.units] = out
            for part in ("scores", "mix"):
                parts[part][site.units] = length * length * width
        else:
            parts["ffn_out"][site.units] = out
    for column in parts.values():
        column.flags.writeable = False
    return Macs(MappingProxyType(parts), length, inventory)
