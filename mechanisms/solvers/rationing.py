"""What is done with supply that a price alone leaves unsold, because demand jumps."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.costs import capacity, resource_use
from walras.mechanisms.solvers.ranking import Ranking
from walras.mechanisms.solvers.root import bracket_near, search
from walras.mechanisms.traits import ALIKE

_REACH, _FEW = 16, 8
_PASSES = 16
_MOST_NUMBERS = 2**17  # exchanges tried at once, times agents
_WITHIN = 2.0**-36  # share of the inner price; what is left of the supply is dealt out in a line


@final
@dataclass(frozen=True)
class Served:
    """The agents served, bool [..., n], their quantities [..., n], and the sum of their utilities [...]."""

    members: Tensor
    quantity: Tensor
    welfare: Tensor

    def or_better(self, other: "Served") -> tuple["Served", Tensor]:
        """The one with more welfare in each market, and where that is the other [...]."""
        better = other.welfare > self.welfare
        row = better.unsqueeze(-1)
        parts = ((other.members, self.members), (other.quantity, self.quantity))
        members, quantity = (torch.where(row, new, old) for new, old in parts)
        return Served(members, quantity, torch.where(better, other.welfare, self.welfare)), better


def ration(ranking: Ranking, count: Tensor, price: Tensor) -> Served:
    """Sell the supply that the first `count` [...] agents of a ranking leave, with what they demand at a price [...].

    1. Serve the members at the inner price at which their demand, none of them leaving, exhausts the supply.
    2. Longer prefixes of the ranking, served likewise, while each further agent makes welfare rise: with one common
       shape of utility welfare is concave in their number and the longest such prefix the optimum, mostly that or one
       agent more. Found by steps of one, one, two, four, and so on, then by halving them.
    3. Of the 16 agents next in the ranking and the 16 members that are last in it, the entry, the exit or the
       exchange with which welfare is highest, again while it rises. This matters where shapes differ and
       agents are few, and is left out where all are alike or very many. Of up to 8 agents all sets are tried.
    """
    members = ranking.members(count)
    quantity = ranking.demand(price, members)
    served = Served(members, quantity, _welfare(ranking, quantity))
    refilled = exhausting(ranking, members, price)
    served, _ = served.or_better(refilled)
    prefix = _longest(ranking, count, refilled, price)
    served, _ = served.or_better(prefix)
    return served if ALIKE in ranking.bids.traits else _exchanged(ranking, served, price)


def exhausting(ranking: Ranking, members: Tensor, guess: Tensor) -> Served:
    """Members' demand at the inner price that exhausts supply, none leaving; welfare -inf where it cannot fit.

    The price is sought from a guess [...].
    """
    floor = torch.full_like(ranking.unit[..., 0], max(ranking.price_floor, 0.0)).expand(members.shape[:-1])
    dearest = torch.full_like(floor, torch.finfo(floor.dtype).max)
    least = ranking.demand(dearest, members)
    feasible = (resource_use(ranking.cost, least) <= capacity(ranking.supply)).squeeze(-1)

    def excess(price: Tensor) -> Tensor:
        return torch.where(feasible, ranking.excess(price, members), 0.0)

    low, high = bracket_near(excess, guess.expand_as(floor), floor)
    within = max(_WITHIN, 4 * torch.finfo(floor.dtype).eps)
    price = search(excess, high, low, within)
    quantity = _between(ranking, members, price, torch.maximum(price * (1 - 2 * within), low))
    return Served(members, quantity, torch.where(feasible, _welfare(ranking, quantity), -torch.inf))


def filled(ranking: Ranking, count: Tensor) -> Tensor:
    """The first `count` [...] of a ranking, and of the indivisible agents after them whoever still fits: bool [..., n].

    Each is served, in their order, that fits into what those before it leave and is worth more than the price floor,
    and than 0: nobody is missed who is worth nothing. Welfare still rises with the supply: the first agent that only
    the larger of two supplies serves costs more than all that the smaller one can sell from there on, and is worth no
    less per cost.
    """
    cost = ranking.cost.squeeze(-1).expand_as(ranking.unit).double()
    cost = torch.empty_like(cost).scatter_(-1, ranking.rank, cost)  # by place in the ranking
    place = torch.arange(cost.shape[-1], device=cost.device).expand_as(cost)
    worth = ranking.ranked[..., 1:-1] > max(ranking.price_floor, 0.0)
    served, start = place < count.unsqueeze(-1), count
    for _ in range(_PASSES):  # each serves a run of agents that fit together, and goes on behind it
        left = capacity(ranking.supply) - (cost * served).sum(-1, keepdim=True)
        after = worth & (place >= start.unsqueeze(-1)) & (cost <= left)
        if not after.any():
            break
        fits = torch.where(after, cost, 0.0).cumsum(-1) <= left
        served = served | (after & fits)
        start = torch.where(after & ~fits, place, cost.shape[-1]).amin(-1)
    else:  # small and large costs in turn, so that runs are short
        served = _one_by_one(cost, served, worth & (place >= start.unsqueeze(-1)), capacity(ranking.supply))
    return served.gather(-1, ranking.rank)


def _one_by_one(cost: Tensor, served: Tensor, ask: Tensor, supply: Tensor) -> Tensor:
    """`served` [..., n], and of those that `ask`, from the first place to the last, whoever fits into what is left."""
    left = (supply.squeeze(-1) - (cost * served).sum(-1)).flatten().tolist()
    n, more = cost.shape[-1], torch.zeros_like(served).view(-1, cost.shape[-1])
    for row, (costs, asks) in enumerate(zip(cost.reshape(-1, n), ask.reshape(-1, n), strict=True)):
        places, found = asks.nonzero().flatten().tolist(), []
        for place, use in zip(places, costs[asks].tolist(), strict=True):
            if use <= left[row]:
                left[row] -= use
                found.append(place)
        more[row, found] = True
    return served | more.view_as(served)


def _between(ranking: Ranking, members: Tensor, price: Tensor, below: Tensor) -> Tensor:
    """Demand at a price that fits, raised towards that at the next lower one, which does not, until supply is sold.

    Where utility is a line both are best at the price, and so is everything between them.
    """
    fits, exceeds = ranking.demand(price, members), ranking.demand(below, members)
    used, wanted = resource_use(ranking.cost, fits), resource_use(ranking.cost, exceeds)
    share = ((ranking.supply.double() - used) / (wanted - used)).nan_to_num(0.0, 0.0, 0.0).clamp(0.0, 1.0)
    return fits + share.to(fits.dtype) * (exceeds - fits)


def _longest(ranking: Ranking, count: Tensor, prefix: Served, price: Tensor) -> Served:
    """Step 2 of `ration`: the agents up to which each made welfare rise, and how these are served."""
    rises, fails = count, ranking.eligible + 1
    step, best = torch.ones_like(count), prefix
    going = rises < ranking.eligible
    while going.any():
        number = torch.where(going, torch.minimum(rises + step, fails - 1), rises)
        with_last = exhausting(ranking, ranking.members(number), price)
        without = best
        if (number - 1 > rises).any():
            without = exhausting(ranking, ranking.members((number - 1).clamp(min=0)), price)
        better = going & (with_last.welfare > without.welfare)
        rises, fails = torch.where(better, number, rises), torch.where(going & ~better, number, fails)
        row = better.unsqueeze(-1)
        best = Served(
            torch.where(row, with_last.members, best.members),
            torch.where(row, with_last.quantity, best.quantity),
            torch.where(better, with_last.welfare, best.welfare),
        )
        bounded = fails <= ranking.eligible  # the step grows until a number fails; then it is halved
        step = torch.where(bounded, (fails - rises) // 2, rises - count).clamp(min=1)
        going = rises + 1 < fails
    return best


def _exchanged(ranking: Ranking, served: Served, price: Tensor) -> Served:
    """Step 3 of `ration`."""
    agents = ranking.unit.shape[-1]
    reach = min(_REACH, agents, int((_MOST_NUMBERS / max(ranking.unit.numel(), 1)) ** 0.5))
    eligible = ranking.unit >= ranking.threshold(ranking.eligible - 1).unsqueeze(-1)
    better = eligible.any(-1)
    while reach > 1 and better.any():
        comes = _one_each(torch.where(eligible & ~served.members, ranking.unit, -torch.inf), reach)
        leaves = _one_each(torch.where(served.members, -ranking.unit, -torch.inf), reach)
        tried = ((served.members | comes.unsqueeze(1)) & ~leaves).flatten(0, 1)
        if agents <= _FEW:
            tried = torch.cat([tried, _subsets(eligible)])
        best = exhausting(ranking, tried, price)
        first = best.welfare.argmax(0, keepdim=True)
        row = first.unsqueeze(-1).expand(1, *first.shape[1:], agents)
        members, quantity = best.members.gather(0, row)[0], best.quantity.gather(0, row)[0]
        served, better = served.or_better(Served(members, quantity, best.welfare.gather(0, first)[0]))
    return served


def _one_each(rank: Tensor, reach: int) -> Tensor:
    """Bool [reach + 1, ..., n]: no agent, and each of the `reach` agents with the highest rank above -inf."""
    highest = rank.sort(dim=-1, descending=True, stable=True)
    one = torch.nn.functional.one_hot(highest.indices[..., :reach], rank.shape[-1]).bool()
    one = one & (highest.values[..., :reach] > -torch.inf).unsqueeze(-1)
    return torch.cat([torch.zeros_like(one[..., :1, :]), one], -2).movedim(-2, 0)


def _subsets(eligible: Tensor) -> Tensor:
    """Bool [2^n, ..., n]: every set of the agents of `eligible` [..., n]."""
    n = eligible.shape[-1]
    sets = (torch.arange(2**n, device=eligible.device).unsqueeze(-1) >> torch.arange(n, device=eligible.device)) & 1
    return sets.bool().view(2**n, *[1] * (eligible.ndim - 1), n) & eligible


def _welfare(ranking: Ranking, quantity: Tensor) -> Tensor:
    return ranking.bids.utility(quantity).sum(-1, dtype=torch.float64)
