"""The repair by scales, one a head and one a neuron."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.sparse.linalg import lsmr
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import layers_of
from walras.models.repair.repair import PrunedSublayer, Repair
from walras.models.units.kinds.heads import head_size
from walras.models.units.projections import outputs_first
from walras.models.units.site import Site

STEPS = 10  # iterations of LSMR allowed, in multiples of the number of scales


@final
@dataclass(frozen=True)
class Scales(Repair):
    """Mask tuning: scale the heads and neurons that are left, sub-layer by sub-layer from the bottom.

    Source: Kwon et al. 2022 (arXiv 2204.09656), section 4.3. With A [tokens x hidden, scales] what each head or
    neuron adds to the residual stream, S and S' the residual streams after the sub-layer in the dense network and now:

    1. Scales m have to bring the streams together: min over m of |S' + A (m - 1) - S|^2, over the real tokens. The
       normal equations A'A (m - 1) = A'(S - S') are summed in float64 over batches; memory does not grow with tokens.
    2. Solve them by LSMR (Fong & Saunders 2011, doi 10.1137/10079687X) with damping 1 in the variable m - 1.
    3. Stop altogether where it fails, or where any |m| exceeds 10. Else multiply m into the columns of the output
       projection, and go one sub-layer up.

    As in the paper's formula the teacher is the dense network (the published code takes a network pruned to the square
    root of the budget), and as in the text every sub-layer is tuned, at every token (the code leaves out the first
    attention, and matches only the first token in the last FFN of a classifier). A sub-layer is left out where nothing
    has left there or further down. Under grouped-query attention each query head has a scale.
    """

    damping: float = 1.0
    limit: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.damping < float("inf"):
            raise InputError(f"damping is {self.damping!r}; it must be a number of at least 0")
        if not self.limit > 1:
            raise InputError(f"limit is {self.limit!r}; it must be a number above 1, the scale of what is not tuned")

    @property
    def watches_gone(self) -> bool:
        """Never."""
        return False

    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        """Steps 1 to 3."""
        features = pruned.features
        if len(features) == 0:
            return True
        weight = outputs_first(pruned.projection)
        owner = features // _features_a_scale(pruned.model, pruned.site)
        group = (owner.diff(prepend=owner[:1]) != 0).cumsum(0)
        change = self._solved(*_normal_equations(pruned, group))
        if change is None:
            return False
        weight[:, features] *= (1 + change).to(weight)[group]
        return True

    def _solved(self, gram: Tensor, moment: Tensor) -> Tensor | None:
        """Step 2: m - 1 in float64, or nothing where tuning has to stop."""
        change, stop, *_ = lsmr(gram.cpu().numpy(), moment.cpu().numpy(), damp=self.damping, maxiter=STEPS * len(gram))
        good = stop != 7 and float(np.abs(1 + change).max()) <= self.limit  # never true of NaN
        return torch.from_numpy(change).to(gram.device) if good else None


def _features_a_scale(model: nn.Module, site: Site) -> int:
    """Neighbouring input features of the output projection that share a scale."""
    return head_size(layers_of(model)[site.layer]) if site.sublayer == "heads" else 1


def _normal_equations(pruned: PrunedSublayer, group: Tensor) -> tuple[Tensor, Tensor]:
    """A'A [scales, scales] and A'(S - S') [scales] in float64.

    With x [tokens, k] the features and W [hidden, k] their columns, feature i adds x_i W_i, so that A'A is
    x'x * W'W number by number, and A'T the sum over tokens of x * TW; those of features with one scale are summed
    (`group` [k]).
    """
    products = moment = torch.zeros(())
    columns = pruned.columns.double()
    for seen in pruned.read():
        x, gap = seen.features.double(), seen.gap.double()
        products = products.to(x) + x.T @ x
        moment = moment.to(x) + (x * (gap @ columns)).sum(0)
    scales = int(group.max()) + 1
    gram = (products * (columns.T @ columns)).to(columns)
    gram = gram.new_zeros(scales, len(gram)).index_add_(0, group, gram)
    gram = gram.new_zeros(scales, scales).index_add_(1, group, gram)
    return gram, moment.new_zeros(scales).index_add_(0, group, moment)
