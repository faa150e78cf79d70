"""Multiply-accumulates of every layer, for given numbers of tokens and of pairs of a query and a key."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.models.resources.macs import PARTS, macs
from walras.models.units.inventory import inventory

Numbers = float | NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class LayerMacs:
    """What a token, or a pair of tokens, costs in every layer; parts as in `walras.models.resources.macs.PARTS`.

    Attributes:
        unit: [layers, parts]: a token; in the columns of scores and mix a pair of a query and a key, in all heads.
    """

    unit: NDArray[np.float64]

    @staticmethod
    def from_model(model: nn.Module) -> "LayerMacs":
        """Count a model, compacted ones as they are; weights are not looked at, so it may lie on the meta device."""
        units = inventory(model)
        one = macs(model, units, 1)
        unit = np.zeros((max(site.layer for site in units.sites) + 1, len(PARTS)))
        np.add.at(unit, units.layer, np.stack([one.parts[part] for part in PARTS], axis=-1))
        return LayerMacs(unit)

    def __call__(self, tokens: Numbers, scored: Numbers, mixed: Numbers) -> NDArray[np.float64]:
        """MACs [layers, parts].

        Where an attention rule drops keys it has seen all scores: what shrinks is the mix, probabilities times values.

        Args:
            tokens: a number, or [layers]: tokens that pass through a layer.
            scored: pairs whose score is computed; the mean over heads.
            mixed: pairs whose weight is not 0; the mean over heads.
        """
        numbers = [np.broadcast_to(n, len(self.unit)) for n in (tokens, scored, mixed)]
        of = {"scores": numbers[1], "mix": numbers[2]}
        found: NDArray[np.float64] = self.unit * np.stack([of.get(part, numbers[0]) for part in PARTS], axis=-1)
        return found
