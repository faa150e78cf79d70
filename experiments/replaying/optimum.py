"""The most right answers that anybody could have bought who knew every answer beforehand."""

from heapq import heappop, heappush
from math import floor

import numpy as np
from numpy.typing import NDArray

from walras.experiments.queries.unfunded import Case, Charge, UnfundedRule, decide, most_of
from walras.experiments.replaying.requests import Column, Requests

Whole = NDArray[np.int64]


def most_right(requests: Requests, arrived_in: Whole, budget: float, rule: UnfundedRule, seconds: float | None) -> int:
    """An upper bound of the right answers of any policy with the same budget per window, whatever it knows.

    A right answer costs its window what it uses: what of a grant is not used may all come back in time. What the rule
    charges costs the window too, and is charged even where nothing is left. But a policy grants no more than is left.

    1. Where nobody waits, a request gets its tokens in the window of its arrival, or never, and what the rule does
       about it is known: `_without_waiting` is the offline optimum itself.
    2. Where requests may wait, `_with_waiting` is a bound that may be more than anybody could reach, never less.

    Args:
        requests: the trace.
        arrived_in: number of the window [n] in which each came.
        budget: tokens per window.
        rule: what is done about requests that are granted nothing.
        seconds: of a window, where it is of time.
    """
    most = most_of(rule)
    if most.seconds and seconds:
        windows = int(arrived_in.max()) + 1
        reach = floor(min(most.seconds / seconds, windows)) + 1
        return _with_waiting(requests, arrived_in, budget, reach, most.tokens)
    caps, same = np.unique(requests.cap, return_inverse=True)
    actions = [decide(rule, Case(float(cap))) for cap in caps]
    charged = np.array([action.tokens if isinstance(action, Charge) else 0 for action in actions])[same]
    starts = np.flatnonzero(np.diff(arrived_in)) + 1
    need, tokens, floors = (np.split(column, starts) for column in (requests.need, requests.tokens, charged))
    return sum(_without_waiting(*window, budget) for window in zip(need, tokens, floors, strict=True))


def _without_waiting(need: Column, tokens: Whole, charged: Whole, budget: float) -> int:
    """The most right answers of one window, whose requests [n] come in this order.

    `need` is what a right answer uses, infinite where there is none; `charged` is what each gets if it is granted
    nothing, by the rule. Those whose need is charged at once are right whatever is left. All others must be granted,
    and so find what they need left. Let the last of these be number l. Up to it, all that is used fits the budget: the
    needs of right answers, and of every other request that the rule would charge one token, which is the least that it
    can be granted in place of the charge. After it, whoever is charged enough is right. So for each l, the most that
    are right up to it are those with the smallest needs that fit, one token of each being spent in any case.
    """
    at_once = need <= charged
    least = np.minimum(tokens, charged > 0).tolist()
    later, most, spent, taken = int(at_once.sum()), int(at_once.sum()), 0.0, list[float]()
    for wanted, spared, first in zip(need.tolist(), at_once.tolist(), least, strict=True):
        later -= spared
        spent += first
        if wanted <= budget:
            heappush(taken, first - wanted)  # the largest comes first
            spent += wanted - first
        while spent > budget and taken:
            spent += heappop(taken)
        if spent > budget:
            break
        most = max(most, len(taken) + later)
    return most


def _with_waiting(requests: Requests, arrived_in: Whole, budget: float, reach: int, charged: float) -> int:
    """A bound where a request may be granted in its own window or one of the `reach` next ones.

    Right answers that the rule may charge at once, of up to `charged` tokens, are all counted as right. The others must
    be granted, and those that a window grants use no more than its budget together. For blocks of m windows in a row:
    requests of a block are granted within m + reach windows, so the most right answers that fit the budget of so many
    bound those of the block. The bound is the smallest sum over blocks for m = 1, 2, 4, ... and the whole trace.
    """
    at_once = requests.need <= charged
    need = np.where(at_once, np.inf, requests.need)
    windows, length = int(arrived_in.max()) + 1, 1
    bounds = [_in_blocks(need, arrived_in, budget, 1, reach)]
    while length < windows:
        length *= 2
        bounds.append(_in_blocks(need, arrived_in, budget, length, reach))
    return int(at_once.sum()) + min(bounds)


def _in_blocks(need: Column, window: Whole, budget: float, length: int, reach: int) -> int:
    """The most right answers whose needs fit, over blocks of windows that are looked at one by one."""
    order = np.lexsort((need, window // length))
    order = order[np.isfinite(need[order])]
    if len(order) == 0:
        return 0
    _, starts = np.unique((window // length)[order], return_index=True)
    within = budget * (length + reach)
    return sum(int((np.cumsum(part) <= within).sum()) for part in np.split(need[order], starts[1:]))
