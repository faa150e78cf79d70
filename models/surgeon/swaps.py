"""Exchanging units of a sub-layer for better ones, as many as before."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.models.surgeon.structured_obs import Mask, StructuredOBS

Vector = NDArray[np.float64]

LEAST = 1e-9
"""Share of the error by which an exchange must lower it."""


class _Kept(NamedTuple):
    """A set of features, the inverse of H on it, and the weights fitted to it; all in float64."""

    features: Tensor  # LongTensor [kept]
    inverse: Tensor  # [kept, kept]
    weight: Tensor  # V [hidden, kept]


def swapped(surgeon: StructuredOBS, keep: Mask, count: int, rounds: int) -> Mask:
    """The units [units] to keep after a local search, as many as in `keep`.

    Source: Meng et al. 2024 (OSSCAR, arXiv 2403.12983), section 3.3, as in their code.

    1. Of the units that are kept take out the `count` ones whose leaving, each alone, costs least.
    2. Of those that are out then, bring in the `count` ones whose coming, each alone, saves most: with S the unit's
       features, F those kept, C = H_SS - H_SF (H_FF)^-1 H_FS and g = (H W')_S - H_SF V', it saves tr(g' C^-1 g).
    3. Where the error has fallen go on, `rounds` times at most; where not, stay with what was before, and stop.
    """
    count = min(count, int(keep.sum()), int((~keep).sum()))
    error = surgeon.error(keep)
    for _ in range(rounds if count else 0):
        leaving = _without_cheapest(surgeon, keep, count)
        coming = _with_best(surgeon, leaving, count)
        now = surgeon.error(coming)
        if not now < error - LEAST * max(error, LEAST):
            break
        keep, error = coming, now
    return keep


def _without_cheapest(surgeon: StructuredOBS, keep: Mask, count: int) -> Mask:
    """Step 1."""
    kept, cost, found = _kept(surgeon, keep), np.full(len(keep), np.inf), keep.copy()
    cost[keep] = _by_unit(kept.inverse, kept.weight.T, kept.features // surgeon.block)
    found[np.argsort(cost, kind="stable")[:count]] = False
    return found


def _with_best(surgeon: StructuredOBS, keep: Mask, count: int) -> Mask:
    """Step 2."""
    kept, out, h = _kept(surgeon, keep), surgeon.features(~keep), surgeon.curvature.double()
    across = h[out][:, kept.features]  # [out, kept]
    left = h[out][:, out] - across @ kept.inverse @ across.T
    missing = h[out] @ surgeon.weight.double().T - across @ kept.weight.T  # [out, hidden]
    saved, found = np.full(len(keep), -np.inf), keep.copy()
    saved[~keep] = _by_unit(left, missing, out // surgeon.block)
    found[np.argsort(-saved, kind="stable")[:count]] = True
    return found


def _by_unit(matrix: Tensor, rows: Tensor, owner: Tensor) -> Vector:
    """tr(g' M^-1 g) [units in `owner`] of each unit's block M of a matrix [k, k] and its rows g [k, hidden]."""
    if len(set(owner.tolist())) == len(owner):  # a feature each
        found: Vector = (rows.square().sum(1) / matrix.diagonal()).cpu().numpy()
        return found
    costs = []
    for unit in dict.fromkeys(owner.tolist()):
        own = (owner == unit).nonzero().flatten()
        part = rows[own]
        costs.append(float((torch.linalg.solve(matrix[own][:, own], part) * part).sum()))
    return np.array(costs)


def _kept(surgeon: StructuredOBS, keep: Mask) -> _Kept:
    features = surgeon.features(keep)
    own = surgeon.curvature[features][:, features].double()
    return _Kept(features, torch.cholesky_inverse(torch.linalg.cholesky(own)), surgeon.refitted(keep))
