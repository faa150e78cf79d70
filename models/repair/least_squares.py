"""The repair by least squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.repair.repair import PrunedSublayer, Repair
from walras.models.units.projections import outputs_first


@final
@dataclass(frozen=True)
class LeastSquares(Repair):
    """Re-fit the output projections to the dense network's residual stream, sub-layer by sub-layer from the bottom.

    With X the features that are left, S and S' the residual streams after the sub-layer in the dense network and
    now, y' = X W + b what the sub-layer adds now:

    1. The sub-layer ought to add T = S - (S' - y'), which also makes good what went wrong further down.
    2. Solve min over V, c of |X V + c - T|^2 + ridge * mean square of a feature * tokens * |V - W|^2. The normal
       equations of a batch are summed in the network's precision, and in float64 over batches, so that memory does
       not grow with their number.
    3. The ridge is the one with the least squared error on tokens that the fit has not seen: every other batch is left
       out in turn (cross-validation in two halves), then all are fitted. A single batch gets the largest ridge. None
       is below 0.1: on all-MiniLM-L6-v2 and STS-B, weaker ones had less error on such tokens, but moved cosines more.
    4. Write V and c (where there is a bias) into the network; go one sub-layer up.

    A sub-layer whose units all stay is re-fitted too where something further down has changed. Columns of units that
    have left stay as they were. The target is that of K-prune (Park et al., ICLR 2024); the pull towards the old
    weights keeps a re-fit on few tokens from unlearning what these do not show.
    """

    ridges: tuple[float, ...] = (0.1, 0.3, 1.0, 10.0)

    def __post_init__(self) -> None:
        if not self.ridges or not all(0 < ridge < float("inf") for ridge in self.ridges):
            raise InputError(f"ridges are {self.ridges!r}; they must be numbers above 0, at least one")

    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        """Steps 1 to 4."""
        _refit(pruned.projection, pruned.features, _normal_equations(pruned), self.ridges)
        return True


@final
@dataclass(frozen=True, eq=False)
class _Normal:
    """X'X [k + 1, k + 1] and X'T [k + 1, hidden] in float64, X being the features and a column of ones."""

    gram: Tensor
    moment: Tensor
    ones: int = 1  # whether the column of ones is there

    def __add__(self, other: "_Normal") -> "_Normal":
        return _Normal(self.gram + other.gram, self.moment + other.moment, self.ones)

    def without_ones(self) -> "_Normal":
        """Of the features alone: for a projection without a bias."""
        return _Normal(self.gram[:-1, :-1], self.moment[:-1], 0)

    def solve(self, old: Tensor, ridge: float) -> Tensor:
        """The weights [k + ones, hidden] of step 2."""
        squares = self.gram.diagonal()
        features = squares[: len(squares) - self.ones]
        scale = torch.cat([features.mean().expand_as(features), squares[len(features) :]])
        pull = (ridge * scale).clamp(min=torch.finfo(scale.dtype).tiny)
        change: Tensor = torch.linalg.solve(self.gram + pull.diag(), self.moment - self.gram @ old)
        return old + change

    def error(self, weights: Tensor) -> float:
        """Squared error of weights, but for the target's own square."""
        return float((weights * (self.gram @ weights - 2 * self.moment)).sum())


def _normal_equations(pruned: PrunedSublayer) -> list[_Normal]:
    """Those of every other batch, and of the others where there are any."""
    halves: list[_Normal] = []
    for i, (features, gap, output) in enumerate(pruned.read()):
        x = torch.cat([features, features.new_ones(len(features), 1)], -1)
        batch = _Normal((x.T @ x).double(), (x.T @ (gap + output)).double())
        if i < 2:
            halves.append(batch)
        else:
            halves[i % 2] += batch
    return halves


def _refit(projection: nn.Module, features: Tensor, halves: list[_Normal], ridges: Sequence[float]) -> None:
    """Steps 3 and 4 of `LeastSquares` for one output projection."""
    weight, bias = outputs_first(projection), getattr(projection, "bias", None)
    old = weight.index_select(1, features).T.double()
    if bias is None:  # nothing may be added that does not depend on the features
        halves = [half.without_ones() for half in halves]
    else:
        old = torch.cat([old, bias.detach().double().unsqueeze(0)])
    if len(old) == 0:
        return
    ridge = max(ridges)
    if len(halves) == 2:
        one, two = halves
        ridge = min(ridges, key=lambda r: one.error(two.solve(old, r)) + two.error(one.solve(old, r)))
    new = sum(halves[1:], halves[0]).solve(old, ridge).to(weight.dtype)
    if bias is not None:
        bias.copy_(new[-1])
    weight[:, features] = new[: len(features)].T
