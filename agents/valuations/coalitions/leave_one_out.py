"""The exact marginal value of a unit: what the loss rises by when it leaves."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, coalition_losses
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class LeaveOneOut(Valuation):
    """A unit is worth what the loss rises by when it alone leaves, exactly, and 0 where the loss would fall.

    This takes n + 1 forward passes. Two units that can replace each other are each worth nothing as long as the other
    is there.
    """

    name: ClassVar[str] = "leave-one-out"
    unit: ClassVar[str] = "rise of the loss"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Values [n]; a unit that has left is worth what its coming back would save."""
        del generator
        now = gates.detach().float().cpu()
        others = now.repeat(len(now), 1)
        others.fill_diagonal_(0.0)
        found = coalition_losses(calibration, torch.cat([now.unsqueeze(0), others, _back(now)]))
        value = found[1 : len(now) + 1] - found[0]
        value[now == 0] = found[0] - found[len(now) + 1 :]
        return value.clamp(min=0).to(gates.device)


def _back(now: Tensor) -> Tensor:
    """Gates [gone, n]; in each row one of the units that have left has come back."""
    (gone,) = (now == 0).nonzero(as_tuple=True)
    back = now.repeat(len(gone), 1)
    back[torch.arange(len(gone)), gone] = 1.0
    return back
