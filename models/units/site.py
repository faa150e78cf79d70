"""Where units of one kind are in one layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from walras.models.units.kinds.kind import UnitKind


@final
@dataclass(frozen=True)
class Site:
    """The units of one kind in one sub-layer of one layer, and the features that each of them owns.

    What a sub-layer adds to the residual stream is `features @ weight.T + bias`, with `width` features. Unit
    `units.start + u` owns features `u * block` up to `(u + 1) * block`; the last unit may own fewer.
    """

    path: str  # of the module that maps the features to the sub-layer's output, below the model given
    layer: int
    kind: "UnitKind"
    units: slice  # rows of the inventory
    block: int
    width: int
    sublayer: str  # the attribute of `Architecture` that says where the sub-layer is: "heads", "ffn", ...
    first: int = 0  # index within the layer and kind of the site's first unit

    def __len__(self) -> int:
        count: int = self.units.stop - self.units.start
        return count

    @property
    def owner(self) -> Tensor:
        """LongTensor `[width]`: the unit of the site, counted from 0, that owns each feature."""
        return torch.arange(self.width) // self.block

    @property
    def widths(self) -> NDArray[np.int64]:
        """Features that each unit of the site owns, `[units of the site]`."""
        starts = np.arange(len(self), dtype=np.int64) * self.block
        return np.minimum(self.block, self.width - starts)
