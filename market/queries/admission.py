"""The price of a batch as an admission signal for queries that come after it."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from walras.errors import InputError
from walras.market.queries.allocation import Allocation
from walras.market.queries.queries import Queries


def admits(batch: Allocation, later: Queries, utility: str = "surge") -> NDArray[np.bool_]:
    """Which later queries [n] would have been funded at the batch's price: their reservation price is no lower.

    One number lets a gateway turn queries away before they wait, without knowing the others. Queries have the headroom
    of the batch where they have none of their own.

    Raises:
        InputError: the rule of the batch has no price.
    """
    if batch.price is None:
        raise InputError(f"allocator {batch.allocator} has no price; {', '.join(_PRICED)} have")
    bids = later.bids(batch.budget, batch.headroom, utility)
    buys: NDArray[np.bool_] = (bids.reservation_price() >= batch.price / later.scale).numpy()
    return buys & later.solvent


def expected_demand(batch: Allocation, later: Queries, utility: str = "surge") -> Mapping[str, float]:
    """What later queries would ask for at the batch's price: tokens, and the share of the queries that is admitted."""
    admitted = admits(batch, later, utility)
    bids = later.bids(batch.budget, batch.headroom, utility)
    asked = bids.demand(torch.full((1,), (batch.price or 0.0) / later.scale, dtype=torch.float64)).numpy()
    return {"tokens": float(asked[admitted].sum()), "share": float(admitted.mean()) if len(later) else 0.0}


_PRICED = ("clear", "clear-plain", "exact", "posted", "clock")
