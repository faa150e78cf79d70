"""The outcome of an allocator: how many tokens each query gets, and how it is described."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.market.queries.queries import Column
from walras.mechanisms.bids.threshold_bids import ThresholdBids


class Regime(StrEnum):
    """How scarce tokens were."""

    ABUNDANT = "abundant"  # all queries that tokens help get as many as help; the price is 0
    SCARCE = "scarce"  # all are funded, with less than they would like
    ABANDONMENT = "abandonment"  # some get nothing
    UNAFFORDABLE = "unaffordable"  # the budget is too small for the cheapest: none is funded
    EMPTY = "empty"  # tokens help no query


@final
@dataclass(frozen=True, eq=False)
class Allocation:
    """Whole tokens for every query, and the figures of the market; money in the unit of the weights.

    tokens [n]; utility [n] and surplus [n] (utility less payment) as the bids have it; bad [n]: queries without a sound
    threshold. price is per token, None where a rule has none. duality_gap is what the dual value at the price exceeds
    the utility by: an upper bound on what any allocation could gain.
    """

    allocator: str
    budget: float
    tokens: NDArray[np.int64]
    utility: Column
    surplus: Column
    bad: NDArray[np.bool_]
    price: float | None
    regime: Regime
    duality_gap: float | None
    headroom: float | None  # 1 / beta, where all have the same

    @property
    def spent(self) -> int:
        """Tokens granted."""
        return int(self.tokens.sum())

    @property
    def unspent(self) -> float:
        """Tokens of the budget that were granted to no query."""
        return self.budget - self.spent

    @property
    def status(self) -> NDArray[np.str_]:
        """funded, abandoned or bad [n]."""
        return np.where(self.bad, "bad", np.where(self.tokens > 0, "funded", "abandoned"))

    def summary(self) -> dict[str, Any]:
        """The figures of the whole batch."""
        return {
            "allocator": self.allocator, "queries": len(self.tokens), "funded": int((self.tokens > 0).sum()),
            "abandoned": int(((self.tokens == 0) & ~self.bad).sum()), "bad": int(self.bad.sum()),
            "budget": self.budget if np.isfinite(self.budget) else None, "spent": self.spent,
            "unspent": self.unspent if np.isfinite(self.budget) else None, "price": self.price,
            "regime": self.regime.value, "utility": float(self.utility.sum()),
            "duality_gap": self.duality_gap if self.duality_gap is not None and np.isfinite(self.duality_gap) else None,
            "headroom": self.headroom,
        }  # fmt: skip


def whole_tokens(tokens: Column, budget: float, cap: Column | None = None) -> NDArray[np.int64]:
    """Tokens [n] rounded down, and what that frees given one by one to those that lost most.

    The sum is never above the budget, and none above its cap [n]. Ties go to the earlier query.
    """
    whole = np.floor(tokens if cap is None else np.minimum(tokens, cap))
    spare = int(min(np.floor(min(budget, float(tokens.sum()) + 1e-6)) - whole.sum(), len(tokens)))
    lost = tokens - whole
    if spare > 0:
        if cap is not None:
            lost[whole + 1 > cap] = 0.0
        order = np.argsort(-lost, kind="stable")[:spare]
        whole[order[lost[order] > 0]] += 1
    if spare < 0:  # sums of large numbers are rounded: the largest grants give back what is too much
        order = np.argsort(-whole, kind="stable")
        before = np.concatenate(([0.0], np.cumsum(whole[order])[:-1]))
        whole[order] -= np.clip(-spare - before, 0.0, whole[order])
    return whole.astype(np.int64)


def regime(bids: ThresholdBids, tokens: Column) -> Regime:
    """The regime that real-valued tokens [n] show; a query counts as funded where its tokens are worth something."""
    solvent = bids.solvent.numpy()
    funded = bids.utility(torch.from_numpy(tokens)).numpy()[solvent] > 0
    if not solvent.any():
        return Regime.EMPTY
    if not funded.any():
        return Regime.UNAFFORDABLE
    if not funded.all():
        return Regime.ABANDONMENT
    most = bids.demand(torch.zeros(1, dtype=torch.float64)).numpy()[solvent]
    return Regime.ABUNDANT if (tokens[solvent] >= most * (1 - 1e-9)).all() else Regime.SCARCE
