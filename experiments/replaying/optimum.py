"""The most right answers that anybody could have bought who knew every answer beforehand."""

import numpy as np
from numpy.typing import NDArray

from walras.experiments.replaying.requests import Column, Requests
from walras.experiments.replaying.unfunded import Unfunded


def most_right(
    requests: Requests, arrived_in: NDArray[np.int64], budget: float, unfunded: Unfunded, seconds: float | None
) -> int:
    """An upper bound of the right answers of any policy with the same budget per window, whatever it knows.

    A right answer costs its window what it uses: what of a grant is not used may all come back in time. So the right
    answers that a window grants use no more than its budget together, and the shortest ones first are the most that
    fit.

    1. Where nobody waits, a request is granted in the window of its arrival, or never. The bound is the sum over
       windows of the most right answers of requests that came in it. It is reached by whoever knows all answers and
       grants each exactly what it uses: the offline optimum itself.
    2. Where requests wait, one may be granted in its own window or one of the `reach` next ones. For blocks of m
       windows in a row: requests of a block are granted within m + reach windows, so the most right answers that fit
       the budget of so many bound those of the block. The bound is the smallest sum over blocks for m = 1, 2, 4, ...
       and the whole trace. It may be more than anybody could reach, never less.
    3. Right answers that end within the floor all count, and cost no window anything.

    Args:
        requests: the trace.
        arrived_in: number of the window [n] in which each came.
        budget: tokens per window.
        unfunded: what becomes of requests that are not funded.
        seconds: of a window, where it is of time.
    """
    need = requests.need
    free = need <= unfunded.floor
    need = np.where(free, np.inf, need)
    reach = int(unfunded.seconds // seconds) + 1 if unfunded.seconds and seconds else 0
    windows = int(arrived_in.max()) + 1
    length, bounds = 1, [_in_blocks(need, arrived_in, budget, 1, reach)]
    while reach and length < windows:
        length *= 2
        bounds.append(_in_blocks(need, arrived_in, budget, length, reach))
    return int(free.sum()) + min(bounds)


def _in_blocks(need: Column, window: NDArray[np.int64], budget: float, length: int, reach: int) -> int:
    """The most right answers whose needs fit, over blocks of windows that are looked at one by one."""
    order = np.lexsort((need, window // length))
    order = order[np.isfinite(need[order])]
    if len(order) == 0:
        return 0
    _, starts = np.unique((window // length)[order], return_index=True)
    within = budget * (length + reach)
    return sum(int((np.cumsum(part) <= within).sum()) for part in np.split(need[order], starts[1:]))
