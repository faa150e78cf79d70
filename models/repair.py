"""What a network's weights become when units have left: the interface."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.models.inventory import Inventory, Site
from walras.models.objective import Batch


class Repair(ABC):
    """Changes what is left of a network so that it does again what the dense network does.

    Concrete repairs are final frozen dataclasses. They change output projections only, so that slicing cuts a
    repaired network as it cuts any other.
    """

    @abstractmethod
    def __call__(
        self,
        model: nn.Module,
        dense: nn.Module,
        inventory: Inventory,
        keep: NDArray[np.bool_],
        batches: Sequence[Batch],
        sites: Sequence[Site] | None = None,
    ) -> None:
        """Repair `model` in place, a copy of `dense` in which only the units of `keep` [n] are to stay.

        `batches` are gone through several times; `sites` are the sub-layers to repair, all by default.
        """
