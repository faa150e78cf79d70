"""One item of each group, at the least loss that a supply allows: the multiple-choice knapsack."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError

Columns = Sequence[NDArray[np.float64]]


def least_loss_choice(losses: Columns, costs: Columns, supply: float, buckets: int = 10_000) -> tuple[int, ...]:
    """An item of each group such that costs add up to at most the supply, and losses to as little as possible.

    By dynamic programming (Dudzinski & Walukiewicz 1987, doi 10.1016/0377-2217(87)90165-2; so Frantar & Alistarh 2022,
    SPDY, arXiv 2201.13096), with what a group costs beyond its cheapest item in whole `buckets` of what the supply
    leaves beyond all cheapest items. Costs are rounded to the nearest; of the choices that are best for some number of
    buckets that one counts which is given the most of them and truly keeps the supply. It is as good as any choice that
    leaves a bucket a group unsold. Time and memory are of the order of buckets times groups, times items.

    Args:
        losses: of each group [items].
        costs: of each group [items], at least 0.
        supply: of all groups.
        buckets: as said.

    Raises:
        InputError: a supply below the cost of the cheapest items; groups that do not match.
    """
    if len(losses) != len(costs) or any(len(v) != len(c) or not len(v) for v, c in zip(losses, costs, strict=True)):
        raise InputError(f"losses of {[*map(len, losses)]} items and costs of {[*map(len, costs)]}; each needs both")
    cheapest = sum(float(cost.min()) for cost in costs)
    spare = supply - cheapest
    if spare < -1e-9 * max(abs(supply), cheapest):
        raise InputError(f"supply is {supply:.6g}; the cheapest choice costs {cheapest:.6g}")
    size, room = max(spare, 0.0) / buckets, buckets + len(losses) // 2 + 1
    best = np.zeros(room + 1)  # the least loss of the groups so far, that uses at most so many buckets
    taken = np.zeros((len(losses), room + 1), dtype=np.int32)
    beyond = [_whole(cost - cost.min(), size, room) for cost in costs]
    for group, (loss, step) in enumerate(zip(losses, beyond, strict=True)):
        now = np.full(room + 1, np.inf)
        for item in np.flatnonzero(step <= room):
            found = best[: room + 1 - step[item]] + loss[item]
            better = found < now[step[item] :]
            now[step[item] :][better], taken[group, step[item] :][better] = found[better], item
        best = now
    within = max(supply, cheapest) * (1 + 1e-12)
    least = tuple(int(cost.argmin()) for cost in costs)  # where there are more groups than buckets
    return next((choice for choice in _choices(taken, beyond) if _sum(costs, choice) <= within), least)


def _choices(taken: NDArray[np.int32], beyond: Sequence[NDArray[np.int64]]) -> Iterator[tuple[int, ...]]:
    """The best choices of at most so many buckets, from the most down to none, where all items are the cheapest."""
    for most in reversed(range(taken.shape[1])):
        left, choice = most, list[int]()
        for group in reversed(range(len(beyond))):
            choice.append(int(taken[group, left]))
            left -= int(beyond[group][choice[-1]])
        yield tuple(reversed(choice))


def _sum(costs: Columns, choice: Sequence[int]) -> float:
    return float(sum(cost[item] for cost, item in zip(costs, choice, strict=True)))


def _whole(cost: NDArray[np.float64], size: float, room: int) -> NDArray[np.int64]:
    """Costs [items] in whole buckets; one more than there is room for of what no supply allows."""
    if size == 0:
        return np.where(cost > 0, room + 1, 0).astype(np.int64)
    found: NDArray[np.int64] = np.minimum(np.rint(cost / size), room + 1).astype(np.int64)
    return found
