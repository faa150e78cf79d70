"""Ridge regressions by their normal equations, and the ridge that fits unseen tokens best."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import torch
from torch import Tensor

_BLOCKS = 4  # of columns, in which products that are symmetric are found


def fitted(halves: "Sequence[Normal]", ridges: Sequence[float]) -> Tensor:
    """The change [k, hidden] that is fitted to all tokens, with the ridges that `chosen` chooses."""
    return sum(halves[1:], halves[0]).change(chosen(halves, ridges))


def chosen(halves: "Sequence[Normal]", ridges: Sequence[float]) -> tuple[float, ...]:
    """A ridge for each part of the target: those with the least squared error on tokens that were not fitted.

    Each of two halves is left out in turn (cross-validation), and all ridges of all parts are tried together. A single
    batch gets the largest ridge.
    """
    parts = len(halves[0].moments)
    if len(halves) == 1:
        return (max(ridges),) * parts
    errors = halves[0].errors(halves[1], ridges) + halves[1].errors(halves[0], ridges)
    place = np.unravel_index(int(errors.argmin()), errors.shape)
    return tuple(ridges[int(i)] for i in place)


def add_to_halves(halves: "list[Normal]", place: int, batch: "Normal") -> None:
    """Batches, numbered by `place`, go to two halves in turn."""
    if place < 2:
        halves.append(batch)
    else:
        halves[place % 2] += batch


@final
@dataclass(frozen=True, eq=False)
class Normal:
    """X'X [k, k] and X'T [k, hidden] of every part T of the target, in float64."""

    gram: Tensor
    moments: tuple[Tensor, ...]
    ones: int = 0  # whether the last of k is a column of ones

    def __add__(self, other: "Normal") -> "Normal":
        moments = (one + two for one, two in zip(self.moments, other.moments, strict=True))
        return Normal(self.gram + other.gram, tuple(moments), self.ones)

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

    def errors(self, unseen: "Normal", ridges: Sequence[float]) -> Tensor:
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


def second_moments(rows: Tensor) -> Tensor:
    """X'X [k, k] in float64 of rows X [tokens, k], to be summed over batches.

    The product is taken in the precision of X, in float32 at least: sums over tokens in half precision are neither
    exact enough for an inverse nor, in float16, always finite. The lower half is what the upper is, which saves more
    than a quarter of the work.
    """
    x = rows.to(torch.promote_types(rows.dtype, torch.float32))
    found, ends = x.new_empty(x.shape[1], x.shape[1]), [x.shape[1] * i // _BLOCKS for i in range(_BLOCKS + 1)]
    for start, stop in pairwise(ends):
        found[start:stop, start:] = x[:, start:stop].T @ x[:, start:]
        found[stop:, start:stop] = found[start:stop, stop:].T
    return found.double()
