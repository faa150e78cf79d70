"""The interface of every rule that turns a batch of queries and a budget into token grants."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from walras.errors import ConformanceError, InputError
from walras.escaping import shown
from walras.market.naming import naming
from walras.market.queries.allocation import Allocation, regime, whole_tokens
from walras.market.queries.limits import MOST_TOKENS, amount, real
from walras.market.queries.queries import Column, Queries
from walras.mechanisms.bids.threshold_bids import ThresholdBids

_ROUNDING = 1e-6  # share of an amount by which sums of real numbers may miss it


@dataclass(frozen=True)
class Allocator(ABC):
    """An allocator grants tokens to queries. Concrete ones are final frozen dataclasses with `grant` and a `name`.

    `headroom` is 1 / beta in tokens, adaptive where it is None; `utility` is a name of `SHAPES`; `source` says where an
    allocator is published.
    """

    headroom: float | None = None
    utility: str = "surge"
    name: ClassVar[str]
    source: ClassVar[str] = ""

    def __call__(self, queries: Queries, budget: float) -> Allocation:
        """Allocate a budget of tokens; inf for no limit; less than the cheapest query needs funds none.

        Raises:
            InputError: a budget that is no number from 0 to 2^53, or inf; without a limit, queries that ask for more.
            ConformanceError: the allocator granted less than nothing, or more than the budget or a cap.
            UserCodeError: an allocator of the user's own raised an error; the message names the file and the line.
        """
        budget = amount(budget, "budget", 0.0, unlimited=True)
        bids = queries.bids(budget, self.headroom, self.utility)
        with naming(f"allocator {type(self).__name__}", self):
            wanted, price = self.grant(queries, bids, budget)
        wanted = _checked(self.name, wanted, price, queries, budget)
        tokens = whole_tokens(wanted, budget, queries.cap)
        utility = bids.utility(torch.from_numpy(tokens.astype(np.float64))).numpy()
        payment = np.minimum((price or 0.0) * tokens, utility)
        gap = None if price is None else _dual(bids, price, budget) - float(utility.sum())
        own = queries.headroom is not None and np.isfinite(queries.headroom).any()
        return Allocation(
            allocator=self.name, budget=budget, tokens=tokens, utility=utility * queries.scale,
            surplus=(utility - payment) * queries.scale, bad=queries.bad, regime=regime(bids, wanted),
            price=None if price is None else price * queries.scale,
            duality_gap=None if gap is None else max(gap, 0.0) * queries.scale,
            headroom=None if own or len(queries) == 0 else float(1 / torch.as_tensor(bids.beta)[0]),
        )  # fmt: skip

    @abstractmethod
    def grant(self, queries: Queries, bids: ThresholdBids, budget: float) -> tuple[Column, float | None]:
        """Tokens [n], real numbers that sum to at most the budget, and the price per token, if the rule has one."""


def _checked(name: str, wanted: Any, price: Any, queries: Queries, budget: float) -> Column:
    """The tokens [n], where they and the price are sound; none that are computed from a bad threshold.

    What sums of real numbers round off is let pass.
    """
    if price is not None and not 0 <= real(price) < np.inf:
        raise ConformanceError(f"allocator {name} has price {shown(price)}; it must be a number of 0 or more, or None")
    if not isinstance(wanted, np.ndarray) or wanted.shape != (len(queries),) or wanted.dtype.kind not in "fiu":
        raise ConformanceError(f"allocator {name} must grant an array of {len(queries)} numbers, one per query")
    tokens: Column = np.where(queries.bad & np.isnan(wanted), 0.0, wanted)
    limit = np.full(len(queries), np.inf) if queries.cap is None else queries.cap
    wrong = ~((tokens >= 0) & (tokens <= limit * (1 + _ROUNDING)))
    if wrong.any():
        i = int(wrong.argmax())
        raise ConformanceError(f"allocator {name} grants query {i} {tokens[i]} tokens; valid: 0 to {limit[i]:g}")
    total = float(tokens.sum())
    if total > budget * (1 + _ROUNDING) + _ROUNDING:
        raise ConformanceError(f"allocator {name} grants {total:g} tokens of {budget:g}")
    if total > MOST_TOKENS * (1 + _ROUNDING):
        raise InputError(f"the queries ask for {total:g} tokens; give a budget, of up to {MOST_TOKENS:g}")
    return tokens


def _dual(bids: ThresholdBids, price: float, budget: float) -> float:
    """sum of surpluses + price * budget: what no allocation can exceed."""
    surplus = bids.surplus(torch.tensor([price], dtype=torch.float64)).sum().item()
    return surplus + (price * budget if price > 0 else 0.0)
