"""Exchanging units of a sub-layer for better ones, as many as before."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from walras.models.surgeon.structured_obs import Mask, StructuredOBS

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
    kept, cost = _kept(surgeon, keep), np.full(len(keep), np.inf)
    owner = kept.features // surgeon.block
    for unit in np.flatnonzero(keep):
        own = (owner == int(unit)).nonzero().flatten()
        written = kept.weight[:, own]
        cost[unit] = float((torch.linalg.solve(kept.inverse[own][:, own], written.T) * written.T).sum())
    found = keep.copy()
    found[np.argsort(cost, kind="stable")[:count]] = False
    return found


def _with_best(surgeon: StructuredOBS, keep: Mask, count: int) -> Mask:
    """Step 2."""
    kept, h = _kept(surgeon, keep), surgeon.curvature.double()
    across = h[:, kept.features]  # [k, kept]
    left = h - across @ kept.inverse @ across.T
    missing = h @ surgeon.weight.double().T - across @ kept.weight.T  # [k, hidden]
    owner, saved = torch.arange(len(h)) // surgeon.block, np.full(len(keep), -np.inf)
    for unit in np.flatnonzero(~keep):
        own = (owner == int(unit)).nonzero().flatten().to(h.device)
        saved[unit] = float((torch.linalg.solve(left[own][:, own], missing[own]) * missing[own]).sum())
    found = keep.copy()
    found[np.argsort(-saved, kind="stable")[:count]] = True
    return found


def _kept(surgeon: StructuredOBS, keep: Mask) -> _Kept:
    features = surgeon.features(keep)
    own = surgeon.curvature[features][:, features].double()
    return _Kept(features, torch.cholesky_inverse(torch.linalg.cholesky(own)), surgeon.refitted(keep))
