"""What a sub-layer's output loses as its units leave one by one, the rest making up for it."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.valuation import Valuation
from walras.models.levels.moments import input_moments
from walras.models.surgeon.structured_obs import DAMPING, StructuredOBS, check_damping
from walras.models.units.inventory import projections
from walras.models.units.projections import outputs_first


@final
@dataclass(frozen=True)
class OBSErrors(Valuation):
    """A unit is worth the rise of its sub-layer's squared error of output as it leaves, in the best order of leaving.

    The order is greedy, and weights of the units that stay make up for those that left as well as they can
    (`StructuredOBS`). Errors are shares of that of a sub-layer that writes nothing, so that all rises add up to 1. A
    unit that leaves later is worth at least what those before it are, so that a market takes units in this order. Units
    that have left are worth 0. What the error does to the network's loss is not looked at.
    """

    damping: float = DAMPING
    name: ClassVar[str] = "obs-errors"
    unit: ClassVar[str] = "share of a sub-layer's squared output"
    source: ClassVar[str] = "Kurtic et al. 2023 (ZipLM), arXiv 2302.04089, section 3.1"

    def __post_init__(self) -> None:
        check_damping(self.damping)

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Rise [n] in float64; one forward pass.

        Raises:
            InputError: units that own no features of an output projection, such as experts.
        """
        del generator
        model, inventory = calibration.model, calibration.inventory
        value, maps = torch.zeros_like(gates, dtype=torch.float64), projections(model, inventory)
        with at_rest(model):
            moments = input_moments(model, inventory, calibration.batches, gates)
        for place, site in enumerate(inventory.sites):
            there = gates[site.units] != 0
            features = there[site.owner.to(there.device)].nonzero().flatten()
            if len(features) == 0:
                continue
            moment, weight = moments.pop(place)[features][:, features], outputs_first(maps[place])[:, features]
            surgeon = StructuredOBS.from_moment(weight, moment, site.block, self.damping)
            rises = np.empty(len(surgeon))
            rises[surgeon.order] = np.maximum.accumulate(np.diff(surgeon.errors))
            found = torch.from_numpy(rises).to(value.device)
            value[site.units.start + there.nonzero().flatten()] = found
        return value
