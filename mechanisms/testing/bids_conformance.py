"""What every population of bids must keep: it answers prices with the quantity that is best for it."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

from walras.mechanisms.bids.budgeted import Budgeted
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.testing.conformance import Check
from walras.mechanisms.traits import CONCAVE, INDIVISIBLE, TRAITS


def check_bids(bids: Bids, most: float = 4.0, points: int = 401) -> list[Check]:
    """Run the suite on a population; quantities from 0 to `most` are the grid that demand is held against."""
    reservation = bids.reservation_price()
    finite = reservation[reservation.isfinite()]
    top = finite.max().item() if finite.numel() else 2.0
    prices = [top * share for share in (0.1, 0.4, 0.8, 1.0, 1.2)]
    grid = torch.tensor([0.0, 1.0]) if INDIVISIBLE in bids.traits else torch.linspace(0, most, points)
    problems = {
        "traits are known": _unknown_traits(bids),
        "demand maximises utility less price": _first(_suboptimal(bids, price, grid) for price in prices),
        "demand falls with the price": _rising(bids, prices),
        "buys at its reservation price, not above": _reservation(bids, reservation),
        "an infinite price excludes": _excluded(bids, reservation),
    }
    return [Check(name, not problem, len(prices), problem) for name, problem in problems.items()]


def _first(problems: Iterable[str]) -> str:
    return next((p for p in problems if p), "")


def _unknown_traits(bids: Bids) -> str:
    unknown = bids.traits - TRAITS
    return f"{sorted(unknown)} are not in walras.mechanisms.traits" if unknown else ""


def _suboptimal(bids: Bids, price: float, grid: Tensor) -> str:
    at = torch.full_like(bids.reservation_price(), price)
    bought = bids.demand(at)
    surplus = bids.utility(bought) - at * bought
    for quantity in grid.tolist():
        other = bids.utility(torch.full_like(at, quantity)) - at * quantity
        can = at * quantity <= bids.money if isinstance(bids, Budgeted) else torch.ones_like(at, dtype=torch.bool)
        if (can & (other > surplus + 1e-5 * (1 + surplus.abs()))).any():
            return f"at price {price:.4g} a quantity of {quantity:.4g} is better than the demand {bought.tolist()}"
    return ""


def _rising(bids: Bids, prices: list[float]) -> str:
    like = bids.reservation_price()
    bought = [bids.demand(torch.full_like(like, p)) for p in sorted(prices)]
    rises = any((later > sooner).any() for sooner, later in pairwise(bought))
    return f"demand rises somewhere between the prices {prices}" if rises else ""


def _reservation(bids: Bids, reservation: Tensor) -> str:
    finite = reservation.isfinite()
    price = torch.where(finite, reservation, 0.0)
    step = 1e-4 * price.abs().clamp(min=1e-3)
    at = bids.demand(price - step if CONCAVE in bids.traits else price)
    if (finite & (at <= 0)).any():
        return f"no demand at the reservation price {reservation.tolist()}"
    above = bids.demand(price + step)
    return f"demand above the reservation price {reservation.tolist()}" if (finite & (above > 0)).any() else ""


def _excluded(bids: Bids, reservation: Tensor) -> str:
    everyone = torch.ones_like(reservation, dtype=torch.bool)
    bought = bids.demand(torch.full_like(reservation, torch.inf), stay=everyone)
    return "an agent buys at an infinite price" if (bought != 0).any() else ""
