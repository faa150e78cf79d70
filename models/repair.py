"""What a network's weights become when units have left: the interface, and the walk from the bottom to the top."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.models.gates import gated
from walras.models.inventory import Inventory, Site, projections
from walras.models.objective import Batch
from walras.models.streams import Ascent, by_length


@final
@dataclass(frozen=True, eq=False)
class Thinned:
    """A sub-layer from which, or from further down, units have left: as it is now, and in the dense network."""

    model: nn.Module
    site: Site
    projection: nn.Module  # the output projection, which a repair changes
    features: Tensor  # [k] places of the input features that are left
    now: Ascent
    before: Ascent

    def read(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batch by batch in float64: features X, gap S - S', output y'; rows are the real tokens.

        X [tokens, k] are the features that are left, S and S' [tokens, hidden] the residual streams after the
        sub-layer in the dense network and now, y' [tokens, hidden] what the sub-layer adds now.
        """
        for new, old in zip(self.now.read(self.site), self.before.read(self.site), strict=True):
            gap = old.total.double() - new.total.double()
            yield new.features.index_select(-1, self.features).double(), gap, new.output.double()


class Repair(ABC):
    """Changes what is left of a network so that it does again what the dense network does.

    Concrete repairs are final frozen dataclasses. They change output projections only, so that slicing cuts a
    repaired network as it cuts any other.
    """

    @torch.no_grad()
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

        Goes through the sub-layers `sites`, all by default, from the bottom to the top; those with nothing gone, there
        or further down, stay as they are. `batches` are gone through several times.
        """
        device = next(model.parameters()).device
        outputs = {site.path: p for site, p in zip(inventory.sites, projections(model, inventory), strict=True)}
        gates, batches = torch.tensor(keep, dtype=torch.get_default_dtype(), device=device), by_length(batches)
        with gated(model, inventory, gates), Ascent(model, batches) as now, Ascent(dense, batches) as before:
            for site in inventory.sites if sites is None else sites:
                features = torch.from_numpy(keep[site.units])[site.owner].nonzero().flatten().to(device)
                thinned = Thinned(model, site, outputs[site.path], features, now, before)
                if not keep[: site.units.stop].all() and not self.mend(thinned):
                    return

    @abstractmethod
    def mend(self, thinned: Thinned) -> bool:
        """Repair one sub-layer in place; whether to go on with those above."""
