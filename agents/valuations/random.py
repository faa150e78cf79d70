"""Values that know nothing: the control of every experiment."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.valuations.calibration import Calibration
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Random(Valuation):
    """A uniform draw per unit of compute: every order of the units is equally likely, whatever they cost."""

    unit: ClassVar[str] = "uniform draw x share of compute"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """A fresh draw [n]; looks at no data."""
        draw = torch.rand(len(gates), generator=generator, dtype=torch.float64)
        return (draw * torch.from_numpy(calibration.cost)).to(gates.device)
