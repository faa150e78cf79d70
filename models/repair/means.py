"""The repair of FLAP: what has left is replaced by its mean."""

from dataclasses import dataclass
from typing import final

import torch

from walras.models.export.modeling_walras import add_bias
from walras.models.repair.repair import PrunedSublayer, Repair


@final
@dataclass(frozen=True)
class Means(Repair):
    """Add to the bias of each output projection what the units that left would have added on average.

    Source: An et al. 2024 (FLAP, arXiv 2312.11983), section 4.3. With x_j the features that left a sub-layer, on what
    comes from below now: b += sum over j of W_:j mean(x_j), the mean being over the real tokens. Behind a norm a
    token counts by the square of what the norm multiplies it by. What was lost further down is not made good. A
    projection without a bias, as in Llama, gets one, which exports carry.
    """

    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        """Sum over batches, in float64."""
        if len(pruned.features) == pruned.site.width:
            return True
        if getattr(pruned.projection, "bias", None) is None:
            add_bias(pruned.projection)
        total = squares = torch.zeros((), dtype=torch.float64)
        for seen in pruned.read():
            ones = seen.ones.double()
            total = total.to(ones) + (ones * seen.left_here.double()).sum(0)
            squares = squares.to(ones) + ones.square().sum()
        pruned.change(None, total / squares.clamp(min=torch.finfo(squares.dtype).tiny))
        return True
