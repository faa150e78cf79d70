"""The repair by least squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.models.repair.repair import PrunedSublayer, Repair

_BLOCKS = 4  # of columns, in which products that are symmetric are found


@final
@dataclass(frozen=True)
class LeastSquares(Repair):
    """Re-fit the output projections to the dense network's residual stream, sub-layer by sub-layer from the bottom.

    With X the features that are left, W and b the projection, S and S' the residual streams after the sub-layer in the
    dense network and now:

    1. The sub-layer ought to add S - S' more than it does, which also makes good what went wrong further down.
    2. Solve min over V, c of |X V + c - (S - S')|^2 + ridge * mean square of a feature * tokens * |V|^2. The normal
       equations of a batch are summed in the network's precision, and in float64 over batches, so that memory does
       not grow with their number.
    3. The ridge is the one with the least squared error on tokens that the fit has not seen: every other batch is left
       out in turn (cross-validation in two halves), then all are fitted. A single batch gets the largest ridge. None
       is below 0.1: on all-MiniLM-L6-v2 and STS-B, weaker ones had less error on such tokens, but moved cosines more.
    4. Add V to W and c to b (where there is one); go one sub-layer up.

    A sub-layer whose units all stay is re-fitted too where something further down has changed. Columns of units that
    have left stay as they were. The target is that of K-prune (Park et al., ICLR 2024); the pull towards the old
    weights keeps a re-fit on few tokens from unlearning what these do not show.

    Attributes:
        ridges: among which one is chosen.
        apart: whether S - S' is split into what left here and what was lost further down, each with a ridge of its
            own; the pair is chosen together.
        tokens_per_feature: on which it is fitted at least, for each input of the widest output projection. A re-fit has
            as many unknowns as the projection has weights, and needs far more tokens than values do.
    """

    ridges: tuple[float, ...] = (0.1, 0.3, 1.0, 10.0)
    apart: bool = False
    tokens_per_feature: int = 0

    def __post_init__(self) -> None:
        if not self.ridges or not all(0 < ridge < float("inf") for ridge in self.ridges):
            raise InputError(f"ridges are {self.ridges!r}; they must be numbers above 0, at least one")
        if self.tokens_per_feature < 0:
            raise InputError(f"tokens_per_feature is {self.tokens_per_feature!r}; it must be a number of at least 0")

    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        """Steps 1 to 4."""
        bias = getattr(pruned.projection, "bias", None)
        halves = _normal_equations(pruned, ones=bias is not None, apart=self.apart)
        if len(halves[0].gram) == 0:
            return True
        change = sum(halves[1:], halves[0]).change(self._chosen(halves))
        pruned.change(change[: len(pruned.features)], None if bias is None else change[-1])
        return True

    def _chosen(self, halves: "list[_Normal]") -> tuple[float, ...]:
        """Step 3: a ridge for each part."""
        parts = len(halves[0].moments)
        if len(halves) == 1:
            return (max(self.ridges),) * parts
        errors = halves[0].errors(halves[1], self.ridges) + halves[1].errors(halves[0], self.ridges)
        place = np.unravel_index(int(errors.argmin()), errors.shape)
        return tuple(self.ridges[i] for i in place)


@final
@dataclass(frozen=True, eq=False)
class _Normal:
    """X'X [k, k] and X'T [k, hidden] of every part T of the target, in float64."""

    gram: Tensor
    moments: tuple[Tensor, ...]
    ones: int  # whether the last of k is a column of ones

    def __add__(self, other: "_Normal") -> "_Normal":
        moments = (one + two for one, two in zip(self.moments, other.moments, strict=True))
        return _Normal(self.gram + other.gram, tuple(moments), self.ones)

    def solve(self, ridge: float) -> tuple[Tensor, ...]:
        """The changes [k, hidden] of step 2 that are fitted to each part."""
        squares = self.gram.diagonal()
        features = squares[: len(squares) - self.ones]
        scale = torch.cat([features.mean().expand_as(features), squares[len(features) :]])
        pull = (ridge * scale).clamp(min=torch.finfo(scale.dtype).tiny)
        wanted = torch.cat(self.moments, -1)
        pulled = self.gram.clone()
        pulled.diagonal().add_(pull)
        factor, failed = torch.linalg.cholesky_ex(pulled)
        if int(failed):  # features that say the same, and a pull that is lost in rounding
            found: Tensor = torch.linalg.solve(pulled, wanted)
        else:
            found = torch.cholesky_solve(wanted, factor)
        return found.chunk(len(self.moments), -1)

    def change(self, ridges: Sequence[float]) -> Tensor:
        """The sum of the changes, each part's with a ridge of its own."""
        return sum((self.solve(ridge)[part] for part, ridge in enumerate(ridges)), torch.zeros_like(self.moments[0]))

    def errors(self, unseen: "_Normal", ridges: Sequence[float]) -> Tensor:
        """Squared errors on other tokens, but for the target's own square: an axis of ridges for each part.

        For a sum D of changes D_p it is sum over p, q of D_p . G D_q - 2 sum over p of D_p . M, G and M being those of
        the other tokens, so that each product is found once.
        """
        target = sum(unseen.moments, torch.zeros_like(unseen.moments[0]))
        solved = [self.solve(ridge) for ridge in ridges]  # by ridge, then by part
        parts = [torch.stack(list(changes)) for changes in zip(*solved, strict=True)]  # [ridges, k, hidden] of a part
        pushed = [unseen.gram @ changes for changes in parts]
        total = torch.zeros((len(ridges),) * len(parts), dtype=torch.float64)
        for p, changes in enumerate(parts):
            own = (changes * (pushed[p] - 2 * target)).sum((1, 2)).cpu()
            total += own.view([-1 if axis == p else 1 for axis in range(len(parts))])
            for q in range(p):
                both = 2 * torch.einsum("akh,bkh->ba", changes, pushed[q]).cpu()
                total += both.view([len(ridges) if axis in (p, q) else 1 for axis in range(len(parts))])
        return total


def _normal_equations(pruned: PrunedSublayer, *, ones: bool, apart: bool) -> list[_Normal]:
    """Those of every other batch, and of the others where there are any."""
    halves: list[_Normal] = []
    for i, seen in enumerate(pruned.read()):
        x = torch.cat([seen.features, seen.ones], -1) if ones else seen.features
        parts = (seen.local, seen.gap - seen.local) if apart else (seen.gap,)
        batch = _Normal(_gram(x).double(), tuple((x.T @ part).double() for part in parts), int(ones))
        if i < 2:
            halves.append(batch)
        else:
            halves[i % 2] += batch
    return halves


def _gram(x: Tensor) -> Tensor:
    """X'X [k, k] of [tokens, k], the lower half being what the upper is: less than three quarters of the work."""
    gram, ends = x.new_empty(x.shape[1], x.shape[1]), [x.shape[1] * i // _BLOCKS for i in range(_BLOCKS + 1)]
    for start, stop in pairwise(ends):
        gram[start:stop, start:] = x[:, start:stop].T @ x[:, start:]
        gram[stop:, start:stop] = gram[start:stop, stop:].T
    return gram
