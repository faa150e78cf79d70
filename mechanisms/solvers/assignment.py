"""Bidders that want several different goods, goods that have several places: an assignment, found by auction."""

from typing import NamedTuple, final

import torch
from torch import Tensor

from walras.errors import InputError


@final
class Assignment(NamedTuple):
    """Who has a place where, bool [bidders, goods], the price [goods] of a place, and the rounds that it took."""

    holds: Tensor
    price: Tensor
    rounds: int


@torch.no_grad()
def assign_by_auction(value: Tensor, wants: int, places: int, step: float) -> Assignment:
    """The assignment of greatest value, within `wants * step` of the optimum a bidder.

    maximise sum of value_ij x_ij  subject to  sum_j x_ij = wants,  sum_i x_ij <= places,  x_ij in {0, 1}

    Bertsekas' auction (1988, doi 10.1007/BF02186476), all bidders at once, for goods of several equal places (Bertsekas
    and Castanon 1989, doi 10.1007/BF02216923):

    1. A good's price is the lowest bid that holds a place of it, or 0 as long as one of its places is empty.
    2. A bidder that holds fewer than it wants looks at value less price. Let v be the (wants + 1)-th best of these. It
       bids for the best goods that it does not hold, value - v + step each: as much as leaves it no worse off than with
       the best that it would go without, and a step more.
    3. Each good keeps its highest bids, as many as it has places, ties by position; who is outbid has lost the place.
    4. End when nobody lacks anything. Where every place is taken only differences of prices mean anything: all are
       lowered until the lowest is 0, as it is where a place is left over.

    What a bidder holds leaves it at least v - step at the end as well, since prices only rise, and a good with a price
    has no empty place: complementary slackness within a step, hence the bound.

    Args:
        value: [bidders, goods], finite.
        wants: places of each bidder, each at another good.
        places: of each good.
        step: by which bids outdo each other, above 0. Rounds grow as it falls.

    Raises:
        InputError: more wanted than there is, or a step or values that are no such numbers.
    """
    bidders, goods = value.shape
    if not 1 <= wants <= goods:
        raise InputError(f"each bidder wants {wants} of {goods} goods; valid: 1 to {goods}")
    if goods * min(places, bidders) < bidders * wants:
        raise InputError(f"{bidders} bidders want {wants} places each, and {goods} goods have {places} places each")
    if not 0 < step < torch.inf:
        raise InputError(f"step is {step}; it must be a number above 0")
    if not value.isfinite().all():
        raise InputError("values of an assignment must be finite numbers")
    if wants == goods:
        return Assignment(torch.ones_like(value, dtype=torch.bool), value.new_zeros(goods), 0)
    bids, price, rounds = torch.full_like(value, -torch.inf), value.new_zeros(goods), 0
    rank = torch.arange(wants, device=value.device)
    while True:
        held = bids > -torch.inf
        lacks = wants - held.sum(-1)
        short = lacks.nonzero().flatten()
        if not len(short):
            return Assignment(held, price - price.min(), rounds)
        net = value[short] - price
        reference = net.topk(wants + 1, -1).values[:, -1:]
        best = net.masked_fill(held[short], -torch.inf).topk(wants, -1).indices
        row, place = (rank < lacks[short].unsqueeze(-1)).nonzero(as_tuple=True)
        good = best[row, place]
        bids[short[row], good] = value[short[row], good] - reference[row, 0] + step
        _outbid(bids, price, places)
        rounds += 1


def _outbid(bids: Tensor, price: Tensor, places: int) -> None:
    """Step 3, and the prices of step 1, in place."""
    full = ((bids > -torch.inf).sum(0) >= places).nonzero().flatten()
    for good in full.tolist():
        column = bids[:, good]
        kept = column.sort(descending=True, stable=True)
        bids[kept.indices[places:], good] = -torch.inf
        price[good] = kept.values[places - 1]
