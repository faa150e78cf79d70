"""What every unit costs: multiply-accumulates of one sequence, by part of the layer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from torch import nn

from walras.models.resources.resource import Column, Resource, Tell, Usage, Workload, log
from walras.models.resources.untraded import untraded_sites
from walras.models.units.inventory import Inventory, sites_and_layers

PARTS = ("query", "key", "value", "scores", "mix", "output", "ffn_in", "ffn_out")
"""Projections to query, key and value, query times key, probabilities times value, and so on. Kinds of unit other than
heads and FFN blocks may have further parts."""


@final
@dataclass(frozen=True)
class Macs(Resource):
    """Multiply-accumulates of the layers for one sequence.

    Counted is what truly runs under eager attention, padding and masked positions included: causal masks and sliding
    windows save nothing there, so scores and mix are quadratic in the length for every family. Biases, softmax and
    norms are no multiply-accumulates of a matrix product and count zero, as in
    `torch.utils.flop_counter.FlopCounterMode` (which counts two FLOPs each). Embeddings, pooler, language-model head
    and patch convolution lie outside: no unit's leaving changes them.
    """

    name: ClassVar[str] = "macs"
    unit: ClassVar[str] = "MACs"

    def measure(self, model: nn.Module, inventory: Inventory, workload: Workload, tell: Tell = log.info) -> Usage:
        """Count every unit; `parts` of the result are those of `PARTS` and of the kinds that are there."""
        del tell
        n, length = len(inventory), workload.length
        parts = {part: np.zeros(n) for part in PARTS}
        steps = np.zeros(n)
        for site, layer in sites_and_layers(model, inventory):
            for part, amounts in site.kind.macs(layer, site, length).items():
                parts.setdefault(part, np.zeros(n))[site.units] += amounts.own + amounts.steps
                steps[site.units] += amounts.steps
        fixed = float(sum(_untraded(model, inventory, length)))
        return use_by_part(inventory, parts, workload, steps, fixed)


def use_by_part(
    inventory: Inventory, parts: Mapping[str, Column], workload: Workload, steps: Column, fixed: float = 0.0
) -> Usage:
    """Multiply-accumulates from what all units `[n]` use by part, steps included, and from their steps `[n]`."""
    own = np.sum([*parts.values()], axis=0) - steps
    return Usage(Macs.name, Macs.unit, inventory, own, steps, fixed, parts, workload)


def _untraded(model: nn.Module, inventory: Inventory, length: int) -> Iterator[float]:
    """Multiply-accumulates of sub-layers in which no unit of the inventory is."""
    for site, layer in untraded_sites(model, inventory):
        for amounts in site.kind.macs(layer, site, length).values():
            yield float(amounts.own.sum() + amounts.steps.sum())


def macs(model: nn.Module, inventory: Inventory, length: int) -> Usage:
    """`Macs` for sequences of `length` tokens.

    Raises:
        InputError: `length` below 1, or an inventory of another model.
    """
    return Macs().measure(model, inventory, Workload(length=length))
