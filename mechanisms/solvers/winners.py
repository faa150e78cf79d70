"""Winner determination for indivisible bids: exactly, and greedily with critical values.

One market: value [n] (net of any reserve), cost [n, K], supply [K], all float64; a knapsack in K dimensions. Of bids
that are one agent's levels, `agent` [n] being the same, at most one wins: a multiple-choice knapsack.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from walras.errors import WalrasError

Column = NDArray[np.float64]
Mask = NDArray[np.bool_]
Agents = NDArray[np.int64]
Rule = Callable[[Column, Column, Column, Agents], tuple[Mask, Column]]
"""Of value, cost, supply and agent: which bids win, and what each pays."""

_FEW = 10  # bids of which all sets are tried, which takes less time than to call a solver


def exact_winners(value: Column, cost: Column, supply: Column, agent: Agents | None = None) -> Mask:
    """Bool [n]: the winners that have the largest sum of values; few bids by trying all sets, else by milp (HiGHS).

    The solver lets constraints slip by a millionth; a choice that does so is forbidden by a cover inequality (no more
    than all but one of it may win), and the solver asked again.

    Raises:
        WalrasError: the solver gave up.
    """
    wins = np.zeros(len(value), dtype=bool)
    (able,) = np.nonzero((value > 0) & (cost <= supply).all(-1))
    whose = np.unique((np.arange(len(value)) if agent is None else agent)[able], return_inverse=True)[1]
    wanted = able[_best_of_each(value[able], whose)]
    if (cost[wanted].sum(0) <= supply).all():
        wins[wanted] = True
        return wins
    own = (whose[:, None] == np.arange(len(wanted))).astype(float)  # [able, agents]
    if len(able) <= _FEW:
        sets = np.arange(2 ** len(able))[:, None] >> np.arange(len(able)) & 1
        sets = sets[(sets @ cost[able] <= supply).all(-1) & (sets @ own <= 1).all(-1)]
        wins[able] = sets[(sets @ value[able]).argmax()] > 0
        return wins
    from scipy.optimize import Bounds, LinearConstraint, milp  # here: few bids need no solver, and scipy loads slowly

    scarce = cost[able].sum(0) > supply
    worth, use = value[able] / value[able].max(), cost[able][:, scarce]
    most = np.where(supply[scarce] > 0, supply[scarce], 1.0)
    several = own[:, own.sum(0) > 1]
    rows, right = [*(use / most).T, *several.T], [*(supply[scarce] / most), *np.ones(several.shape[1])]
    while True:
        solver: Any = milp
        solution = solver(
            -worth, integrality=np.ones(len(able)), bounds=Bounds(0, 1), options={"mip_rel_gap": 0.0},
            constraints=LinearConstraint(np.array(rows), ub=np.array(right)),
        )  # fmt: skip
        if not solution.success:
            raise WalrasError(f"the best of {len(able)} bids were not found: {solution.message}")
        chosen = solution.x > 0.5
        if (use[chosen].sum(0) <= supply[scarce]).all():
            wins[able[chosen]] = True
            return wins
        rows, right = [*rows, chosen.astype(float)], [*right, chosen.sum() - 1.0]


def clarke_payments(value: Column, cost: Column, supply: Column, agent: Agents | None = None) -> tuple[Mask, Column]:
    """Exact winners, and what each costs the others: their best sum of values without it, less their sum with it.

    One solution for the market, and one without each winner.
    """
    agent = np.arange(len(value)) if agent is None else agent
    wins, payment = exact_winners(value, cost, supply, agent), np.zeros(len(value))
    (wanting,) = np.nonzero(value > 0)
    whose = np.unique(agent[wanting], return_inverse=True)[1]
    if (cost[wanting[_best_of_each(value[wanting], whose)]].sum(0) <= supply).all():
        return wins, payment  # no bid keeps another out
    for i in np.flatnonzero(wins):
        others = np.where(agent == agent[i], 0.0, value)
        without = others[exact_winners(others, cost, supply, agent)].sum()
        payment[i] = min(max(without - others[wins].sum(), 0.0), value[i])
    return wins, payment


def _best_of_each(value: Column, agent: Agents) -> Agents:
    """Of the bids of agents 0, 1, ... the place of each one's best; of two that are alike, the first."""
    order = np.lexsort((-np.arange(len(value)), value))
    best = np.zeros(int(agent.max(initial=-1)) + 1, dtype=np.int64)
    best[agent[order]] = order  # what comes later stands
    return best


def critical_payments(value: Column, cost: Column, supply: Column, agent: Agents | None = None) -> tuple[Mask, Column]:
    """Greedy winners, every bid being another agent's, and the lowest bid with which each would still have won.

    1. Rank bids above 0 by value per size, where size adds up what share of each supply is asked for; ties by position.
       A bid that fits into what is left wins.
    2. Without winner i, the same walk goes on behind its place; the first bid after whose turn i would no longer fit
       sets what i must beat. Where there is none i pays nothing.

    A higher bid never loses where a lower one wins, and winners pay what they must bid at least: for bidders of one
    unit each this is truthful (Lehmann, O'Callaghan and Shoham 2002, doi 10.1145/585265.585266, section 9).
    """
    del agent
    scale = np.where((supply > 0) & (supply < np.inf), supply, np.where(supply > 0, np.inf, 1.0))
    size = (cost / scale).sum(-1)
    rate = np.divide(value, size, out=np.full(len(value), np.inf), where=size > 0)
    order = np.argsort(-np.where(value > 0, rate, -np.inf), kind="stable")[: int((value > 0).sum())]
    wins, payment = np.zeros(len(value), dtype=bool), np.zeros(len(value))
    left = supply.copy()
    waiting: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # winners that no bid so far would have kept out
    room = np.zeros((0, len(supply)))  # what is left without each of them
    for i in order:
        comes = (cost[i] <= room).all(-1)
        room[comes] -= cost[i]
        out = comes & (cost[waiting] > room).any(-1)
        payment[waiting[out]] = rate[i] * size[waiting[out]]
        waiting, room = waiting[~out], room[~out]
        if (cost[i] <= left).all():
            wins[i] = True
            waiting, room = np.append(waiting, i), np.vstack([room, left])
            left = left - cost[i]
    return wins, np.minimum(payment, np.where(wins, value, 0.0))
