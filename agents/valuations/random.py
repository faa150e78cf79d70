"""Values drawn at random: the control of every experiment."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class Random(Valuation):
    """A unit is worth a uniform draw times its cost, so that all orders by value per cost are equally likely.

    The cost is the share of the leading resource.
    """

    name: ClassVar[str] = "random"
    unit: ClassVar[str] = "uniform draw x share of the resource"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """A fresh draw [n]; looks at no data."""
        draw = torch.rand(len(gates), generator=generator, dtype=torch.float64)
        return (draw * torch.from_numpy(calibration.cost)).to(gates.device)
