"""The repair by least squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.gates import gated
from walras.models.inventory import Inventory, Site, projections
from walras.models.objective import Batch
from walras.models.projections import outputs_first
from walras.models.repair import Repair
from walras.models.streams import Ascent


@final
@dataclass(frozen=True)
class LeastSquares(Repair):
    """Re-fit the output projections to the dense network's residual stream, sub-layer by sub-layer from the bottom.

    With X the features that are left, S and S' the residual streams after the sub-layer in the dense network and
    now, y' = X W + b what the sub-layer adds now:

    1. The sub-layer ought to add T = S - (S' - y'), which also makes good what went wrong further down.
    2. Solve min over V, c of |X V + c - T|^2 + ridge * mean square of a feature * tokens * |V - W|^2. The normal
       equations are summed in float64 over batches, so that memory does not grow with their number.
    3. Write V and c (where there is a bias) into the network; go one sub-layer up.

    A sub-layer whose units all stay is re-fitted too where something further down has changed. Columns of units that
    have left stay as they were. The target is that of K-prune (Park et al., ICLR 2024); the pull towards the old
    weights keeps a re-fit on few tokens from unlearning what these do not show.
    """

    ridge: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.ridge < float("inf"):
            raise InputError(f"ridge is {self.ridge!r}; it must be a number above 0")

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
        """As `Repair`."""
        device = next(model.parameters()).device
        outputs = {site.path: p for site, p in zip(inventory.sites, projections(model, inventory), strict=True)}
        gates = torch.tensor(keep, dtype=torch.get_default_dtype(), device=device)
        with gated(model, inventory, gates), Ascent(model, batches) as now, Ascent(dense, batches) as before:
            for site in inventory.sites if sites is None else sites:
                if keep[: site.units.stop].all():
                    continue
                features = torch.from_numpy(keep[site.units])[site.owner].nonzero().flatten().to(device)
                normal = _normal_equations(now, before, site, features)
                _refit(outputs[site.path], features, *normal, self.ridge)


def _normal_equations(now: Ascent, before: Ascent, site: Site, features: Tensor) -> tuple[Tensor, Tensor]:
    """X'X [k + 1, k + 1] and X'T [k + 1, hidden] in float64, X being the features and a column of ones."""
    gram = moment = torch.zeros(())
    for new, old in zip(now.read(site), before.read(site), strict=True):
        x = new.features.index_select(-1, features).double()
        x = torch.cat([x, x.new_ones(len(x), 1)], -1)
        gram = gram.to(x) + x.T @ x
        moment = moment.to(x) + x.T @ (old.total.double() - new.total.double() + new.output.double())
    return gram, moment


def _refit(projection: nn.Module, features: Tensor, gram: Tensor, moment: Tensor, ridge: float) -> None:
    """Solve the normal equations of `LeastSquares` and write the weights."""
    weight, bias = outputs_first(projection), getattr(projection, "bias", None)
    old = weight.index_select(1, features).T.double()
    offset = torch.zeros_like(moment[-1]) if bias is None else bias.detach().double()
    tokens = gram[-1, -1]
    if bias is None:  # nothing may be added that does not depend on the features
        gram, moment = gram[:-1, :-1], moment[:-1]
    else:
        old = torch.cat([old, offset.unsqueeze(0)])
    strength = ridge * gram.diagonal()[: len(features)].mean() if len(features) else tokens * 0
    pull = torch.full_like(gram.diagonal(), float(strength))
    if bias is not None:
        pull[-1] = ridge * tokens
    pull = pull.clamp(min=torch.finfo(gram.dtype).tiny)
    change = torch.linalg.solve(gram + pull.diag(), moment - gram @ old, left=True)
    new = (old + change).to(weight.dtype)
    if bias is not None:
        bias.copy_(new[-1])
        new = new[:-1]
    weight[:, features] = new.T
