"""The levels of one sub-layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError
from walras.models.surgeon.structured_obs import Mask, StructuredOBS
from walras.models.units.site import Site

Counts = Callable[[Site], Sequence[int]]
"""Says of a site how many of its units stay at its levels, ascending."""


@final
@dataclass(frozen=True, eq=False)
class SublayerLevels:
    """What a sub-layer can be: so many of its units, from few to many, each level with weights of its own.

    Which units stay at a level follows from `surgeon.order`: a level's units are among those of every higher level.

    Attributes:
        site: the sub-layer.
        surgeon: order of leaving, errors, and weights of any set of units.
        kept: units that stay, at each level, ascending.
        cost: [levels] what they use of a resource, in its unit, such as MACs.
    """

    site: Site
    surgeon: StructuredOBS
    kept: tuple[int, ...]
    cost: NDArray[np.float64]

    @staticmethod
    def of_site(site: Site, surgeon: StructuredOBS, kept: Sequence[int], own: NDArray[np.float64],
                steps: NDArray[np.float64]) -> "SublayerLevels":  # fmt: skip
        """Levels of so many units, which use `own` [units], and `steps` [units] by their rank (see `Usage`).

        Raises:
            InputError: numbers of units that do not ascend, or that the sub-layer does not have.
        """
        counts = tuple(int(count) for count in kept)
        if not counts or [*counts] != sorted({*counts}) or counts[0] < 0 or counts[-1] > len(site):
            raise InputError(f"levels of {site.path} keep {counts}; valid: ascending numbers from 0 to {len(site)}")
        cost = [own[surgeon.keeping(count)].sum() + steps[:count].sum() for count in counts]
        return SublayerLevels(site, surgeon, counts, np.array(cost, dtype=np.float64))

    def __len__(self) -> int:
        """Levels."""
        return len(self.kept)

    @property
    def errors(self) -> NDArray[np.float64]:
        """[levels] squared error of the output, as a share of that of a sub-layer that writes 0; 0 with all units."""
        found: NDArray[np.float64] = self.surgeon.errors[[len(self.site) - count for count in self.kept]]
        return found

    def keep(self, level: int) -> Mask:
        """The units [units] that stay at a level."""
        return self.surgeon.keeping(self.kept[level])

    def features(self, level: int) -> Tensor:
        """LongTensor of the input features of the output projection that stay at a level."""
        return self.surgeon.features(self.keep(level))

    def weights(self, level: int) -> Tensor:
        """Weights [hidden, features that stay] of the output projection at a level, in float64.

        By least squares they write what the whole sub-layer would write of the same input, with a pull towards the old
        weights (`StructuredOBS`, step 3).
        """
        return self.surgeon.refitted(self.keep(level))


def equal_steps(levels: int) -> Counts:
    """So many levels beside none of the units, equally far apart; of sub-layers with fewer units as many as these.

    Raises:
        InputError: fewer than one.
    """
    if levels < 1:
        raise InputError(f"levels is {levels!r}; it must be a number of at least 1")

    def counts(site: Site) -> Sequence[int]:
        steps = min(levels, len(site))
        return [round(len(site) * step / steps) for step in range(steps + 1)]

    return counts
