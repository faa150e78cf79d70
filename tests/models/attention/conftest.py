"""Scores as a head of attention has them: causal, padded, and a row in which every key is closed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

INF = torch.inf
KEYS = 9


def make(dtype: torch.dtype = torch.float64, mask: str = "padded") -> Tensor:
    """Scores [2, 3, 9, 9]: `open`, `causal`, or `padded` (the last keys of sequence 1, and one row without keys)."""
    z = torch.randn(2, 3, KEYS, KEYS, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    if mask == "causal":
        z = z.masked_fill(torch.ones(KEYS, KEYS).triu(1).bool(), -INF)
    if mask == "padded":
        z[1, :, :, 6:] = -INF
        z[1, 2, 8] = -INF
    return z.to(dtype)


@pytest.fixture(scope="session")
def scores() -> Callable[..., Tensor]:
    """`scores(dtype=torch.float64, mask="padded")`."""
    return make
