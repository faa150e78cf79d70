"""Clearing again while answers are being generated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.market.queries.curves import Samples, allocate_by_curves
from walras.market.queries.limits import amount
from walras.market.queries.queries import Column

# Continues queries [k] for so many further tokens [k]; returns tokens used [k] and whether each is done [k].
Generate = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.bool_]]]


@final
@dataclass(frozen=True, eq=False)
class Reclearing:
    """Tokens used [n] and whether done [n] after some rounds, and the price of each round."""

    used: NDArray[np.int64]
    done: NDArray[np.bool_]
    prices: tuple[float, ...]


def reclear(samples: Samples, grid: Column, budget: float, rounds: int, generate: Generate) -> Reclearing:
    """Allot a budget in rounds; a query that has spent its grant bids again with its posterior.

    1. In round t of r, t / r of the budget, less what was used so far, is cleared among the queries that are not done,
       by their curves given what they have spent (`Samples.curves`).
    2. They generate; tokens of answers that end early are there again in the next round.

    One round is the market without re-clearing. Ours, not the paper's.

    Raises:
        InputError: a budget below 0, or no round.
    """
    budget = amount(budget, "budget", 0.0)
    if isinstance(rounds, bool) or rounds < 1:
        raise InputError(f"rounds is {rounds}; it must be 1 or more")
    n = len(samples.tokens)
    used, done, prices = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), []
    for turn in range(1, rounds + 1):
        live = np.flatnonzero(~done)
        rest = Samples(samples.tokens[live], samples.correct[live]) if len(live) else None
        left = budget * turn / rounds - used.sum()
        if rest is None or left <= 0:
            continue
        grants, price = allocate_by_curves(rest.curves(grid, used[live].astype(np.float64)), grid, left)
        prices.append(price)
        funded = live[grants > 0]
        took, ended = generate(funded, grants[grants > 0])
        used[funded] += np.minimum(took, grants[grants > 0])
        done[funded] = ended
    return Reclearing(used, done, tuple(prices))
