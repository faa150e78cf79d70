"""SLEB: what the network as it is now loses without a whole layer."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.ranks import one_order
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError


@final
@dataclass(frozen=True)
class LayerLoss(Valuation):
    """A unit has the score of its layer: the loss of the network as it is now without that layer.

    Layers leave whole, the one without which the loss is least first. Where one leaves a round and scores are taken
    anew, as phase `layer-by-layer` has it, this is SLEB: of the layers that are left, the one leaves whose removal
    raises the loss of the calibration text least. The first and the last layer are not looked at, as in the released
    code, and leave after all others. Meant for whole sub-layers as units (kind `block`).
    """

    spared_first: int = 1
    spared_last: int = 1
    name: ClassVar[str] = "layer-loss"
    unit: ClassVar[str] = "place in the order x share of the resource"
    source: ClassVar[str] = "Song et al. 2024 (SLEB), arXiv 2402.09025, algorithm 1"

    def __post_init__(self) -> None:
        for name in ("spared_first", "spared_last"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a number of at least 0")

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Cost times place from the bottom [n], above 0; the part of a forward pass from each layer that is left on."""
        del generator
        losses = layer_losses(calibration, gates, self.spared_first, self.spared_last)
        return one_order(calibration, gates, losses[torch.from_numpy(calibration.inventory.layer.copy())])


@torch.no_grad()
def layer_losses(calibration: Calibration, gates: Tensor, spared_first: int = 0, spared_last: int = 0) -> Tensor:
    """Mean loss [layers] in float64 without each layer; above all others of those that are spared, or have left."""
    layer = torch.from_numpy(calibration.inventory.layer.copy()).to(gates.device)
    layers = int(layer.max()) + 1
    found = torch.full((layers,), torch.nan, dtype=torch.float64)
    with at_rest(calibration.model):
        for one in range(spared_first, layers - spared_last):
            own = layer == one
            if bool((gates[own] != 0).any()):
                found[one] = calibration.above(one).loss(torch.where(own, 0.0, gates))
    looked_at = found[~found.isnan()]
    highest = float(looked_at.max()) if len(looked_at) else 0.0
    return found.nan_to_num(nan=highest + 1.0)
