"""The repair of structured pruning by the optimal brain surgeon: a sub-layer writes again what it wrote by itself."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from walras.models.repair.normal_equations import second_moments
from walras.models.repair.repair import PrunedSublayer, Repair
from walras.models.surgeon.structured_obs import DAMPING, check_damping, damped, refitted
from walras.models.units.projections import outputs_first


@final
@dataclass(frozen=True)
class StructuredOBSUpdate(Repair):
    """Re-fit each output projection to what the whole sub-layer would write of the same input.

    With W the projection, X all of its input before any unit left, and F the features that are left:
    V = argmin over V of |X_F V' - X W'|^2 + `damping` times the mean square of a feature times |V - W|^2, that is
    V' = (H_FF)^-1 H_F: W' with H the damped X'X. It is what removing units one by one by the optimal brain surgeon ends
    with, in whatever order. What was lost further down is not made good, and biases stay.

    Sources: Kurtic et al. 2023 (ZipLM, arXiv 2302.04089), who prepare weights on the dense network's X; Meng et al.
    2024 (OSSCAR, arXiv 2403.12983), who go up and take the X that the pruned network below gives.

    Attributes:
        sequential: whether X is what enters the sub-layer now; else what enters it in the dense network.
        damping: as said.
    """

    sequential: bool = True
    damping: float = DAMPING
    fits_stream: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_damping(self.damping)

    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        """Moments are summed over batches in float64."""
        weight, kept = outputs_first(pruned.projection), pruned.features
        if len(kept) in (0, weight.shape[1]):
            return True
        moment = torch.zeros(weight.shape[1], weight.shape[1], dtype=torch.float64, device=weight.device)
        for whole in (pruned.now if self.sequential else pruned.before).read_inputs(pruned.site):
            moment += second_moments(whole)
        weight[:, kept] = refitted(weight, damped(moment, len(moment), self.damping), kept).to(weight)
        return True
