"""What a market needs to know of whatever it trades."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from walras.models import Inventory

if TYPE_CHECKING:
    from walras.agents.calibration.calibration import Calibration


class TradedUnits(ABC):
    """Units that are traded, and what each of them costs.

    A `Calibration` is the units of a network, with the loss and the data on which they are valued; `GivenUnits` are
    units whose values somebody knows already. Whatever needs more than units and costs asks for the `network`.

    Attributes:
        inventory: the units, n of them.
        cost: share [n] of the whole that each unit uses of the leading resource.
    """

    inventory: Inventory
    cost: NDArray[np.float64]

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where gates on the units are."""

    @abstractmethod
    def above(self, layer: int) -> "TradedUnits":
        """The same, of which only units of `layer` and of the layers above it need to be valued."""

    @abstractmethod
    def network(self, what: str) -> "Calibration":
        """The network of the units, with its loss and data.

        Args:
            what: needs it, such as `valuation Fisher`.

        Raises:
            InputError: there is none.
        """
