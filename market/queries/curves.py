"""Utility of a query as it was measured: how often an answer was right within so many tokens."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.errors import InputError
from walras.market.queries.allocation import whole_tokens
from walras.market.queries.queries import Column
from walras.mechanisms import MenuBids, ShadowPrice

Flags = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class Samples:
    """Answers to n queries, s each: tokens [n, s], and whether right [n, s].

    A wrong answer may be one that was cut off (censored): it says that nothing right came within its tokens, and
    nothing of what more would have brought. Curves therefore end at the longest answer, and are a lower bound there.
    """

    tokens: Column
    correct: Flags

    def __post_init__(self) -> None:
        if self.tokens.ndim != 2 or self.tokens.shape != self.correct.shape or self.tokens.shape[1] == 0:
            raise InputError(
                f"tokens {[*self.tokens.shape]}, correct {[*self.correct.shape]}; valid: both [n, s], s > 0"
            )

    def curves(self, grid: Column, spent: Column | None = None) -> Column:
        """Chance [n, m] that a right answer comes within grid [m] further tokens, `spent` [n] having brought none.

        The posterior after b tokens: among the samples that were longer than b, the share that was right within b plus
        so many. Queries none of whose samples was longer have no chance left.
        """
        before = np.zeros(len(self.tokens)) if spent is None else spent
        running = (self.tokens > before[:, None]) | (before == 0)[:, None]
        right = self.correct & running
        within = self.tokens[:, :, None] <= before[:, None, None] + grid
        chance: Column = (right[:, :, None] & within).sum(1) / np.maximum(running.sum(1), 1)[:, None]
        return chance


def allocate_by_curves(curves: Column, grid: Column, budget: float) -> tuple[NDArray[np.int64], float]:
    """Whole tokens [n] and the price, for utilities [n, m] on a grid [m]: the same `ShadowPrice`, on measured bids."""
    if len(curves) == 0:
        return np.zeros(0, dtype=np.int64), 0.0
    clearing = ShadowPrice()(MenuBids(torch.from_numpy(grid), torch.from_numpy(curves)), float(budget))
    return whole_tokens(clearing.quantity.numpy(), budget), clearing.price.item()
