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
    comes from below now: b += sum over j of W_:j mean(x_j), the mean being over the real tokens. What was lost further
    down is not made good. A projection without a bias, as in Llama, gets one, which exports carry.
    """

    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        """Sum over batches, in float64."""
        if len(pruned.features) == pruned.site.width:
            return True
        if getattr(pruned.projection, "bias", None) is None:
            add_bias(pruned.projection)
        bias = pruned.projection.get_parameter("bias")
        total, tokens = torch.zeros((), dtype=torch.float64), 0
        for _, gap, local in pruned.read():
            total = total.to(gap.device) + local.double().sum(0)
            tokens += len(gap)
        bias.copy_(bias.double() + total / max(tokens, 1))
        return True
