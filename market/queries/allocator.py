"""The interface of every rule that turns a batch of queries and a budget into token grants."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from walras.errors import InputError
from walras.market.naming import naming
from walras.market.queries.allocation import Allocation, regime, whole_tokens
from walras.market.queries.queries import Column, Queries
from walras.mechanisms.bids.threshold_bids import ThresholdBids


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
            InputError: a budget that is negative or no number.
            UserCodeError: an allocator of the user's own raised an error; the message names the file and the line.
        """
        if isinstance(budget, bool) or not budget >= 0:
            raise InputError(f"budget is {budget} tokens; it must be a number of 0 or more")
        bids = queries.bids(budget, self.headroom, self.utility)
        with naming(f"allocator {type(self).__name__}", self):
            wanted, price = self.grant(queries, bids, float(budget))
        tokens = whole_tokens(wanted, budget)
        utility = bids.utility(torch.from_numpy(tokens.astype(np.float64))).numpy()
        payment = np.minimum((price or 0.0) * tokens, utility)
        gap = None if price is None else _dual(bids, price, float(budget)) - float(utility.sum())
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


def _dual(bids: ThresholdBids, price: float, budget: float) -> float:
    """sum of surpluses + price * budget: what no allocation can exceed."""
    surplus = bids.surplus(torch.tensor([price], dtype=torch.float64)).sum().item()
    return surplus + (price * budget if price > 0 else 0.0)
