"""Samples that have to be parted into those that calibrate and those that evaluate."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError


def check_share(share: float) -> None:
    """Refuse a share of samples that leaves none on one side.

    Raises:
        InputError: as said.
    """
    if not 0 < share < 1:
        raise InputError(f"share is {share:g}; it must be the share that evaluates, above 0 and below 1")


def drawn(labels: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which samples calibrate [samples], drawn at random; at least two on each side, of each label about its share.

    Args:
        labels: one a sample; at least four.
        share: of the samples that evaluate.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    total, seen, rank = Counter(labels), Counter[str](), np.zeros(len(labels))
    for i in order:
        rank[i] = (seen[labels[i]] + 0.5) / total[labels[i]]
        seen[labels[i]] += 1
    found = np.ones(len(labels), dtype=bool)
    held_out = min(max(round(share * len(labels)), 2), len(labels) - 2)
    found[order[np.argsort(rank[order], kind="stable")][:held_out]] = False
    return found
