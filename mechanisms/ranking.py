"""Agents in the order in which a falling price brings them into the market, and what prefixes of them demand."""

from dataclasses import dataclass, field
from itertools import count as steps
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids import Bids
from walras.mechanisms.mechanism import charge, fits, load
from walras.mechanisms.root import bisect, bracket
from walras.mechanisms.traits import CONCAVE, INDIVISIBLE


@final
@dataclass(frozen=True)
class Ranking:
    """One resource's agents by reservation price per cost, descending; ties by position.

    supply [..., 1], cost [..., n, 1]. Prices here are [...], one a market; a prefix is a count [...] of agents.
    """

    bids: Bids
    supply: Tensor
    cost: Tensor
    floor: float
    unit: Tensor = field(init=False)  # [..., n] reservation price per cost
    ranked: Tensor = field(init=False)  # [..., n] the same, descending
    eligible: Tensor = field(init=False)  # [...] how many would buy at the floor

    def __post_init__(self) -> None:
        reservation = self.bids.reservation_price()
        cost = self.cost.squeeze(-1).expand_as(reservation)
        free = torch.where(reservation >= 0, torch.inf, -torch.inf).to(reservation.dtype)
        unit = torch.where(cost > 0, reservation / cost, free)
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "ranked", unit.sort(-1, descending=True).values)
        object.__setattr__(self, "eligible", ((unit >= self.floor) & (unit > -torch.inf)).sum(-1))

    def threshold(self, count: Tensor) -> Tensor:
        """Reservation price per cost [...] of the agent of rank `count` (from 0): inf before all, -inf past all."""
        last = self.ranked.shape[-1] - 1
        ends = torch.where(count < 0, torch.inf, -torch.inf).to(self.ranked.dtype)
        if last < 0:
            return ends
        at = self.ranked.gather(-1, count.clamp(0, last).unsqueeze(-1)).squeeze(-1)
        return torch.where((count >= 0) & (count <= last), at, ends)

    def members(self, count: Tensor) -> Tensor:
        """Bool [..., n]: the first `count` agents of the order."""
        last = self.threshold(count - 1).unsqueeze(-1)
        inside = self.unit >= last
        surplus = inside.sum(-1) > count
        if surplus.any():  # some of those tied with the last member stay outside
            above, tied = self.unit > last, self.unit == last
            room = count.unsqueeze(-1) - above.sum(-1, keepdim=True)
            inside = above | (tied & (tied.cumsum(-1) <= room))
        return inside & (count > 0).unsqueeze(-1)

    def demand(self, price: Tensor, members: Tensor) -> Tensor:
        """Quantity [..., n] that the members buy at a price [...], none of them leaving."""
        asked = torch.where(members, charge(self.cost, price.unsqueeze(-1)), torch.inf)
        return self.bids.demand(asked, stay=members)

    def excess(self, price: Tensor, members: Tensor) -> Tensor:
        """Members' demand at a price less the supply, in float64 [...]; at most 0 where it fits."""
        used = load(self.cost, self.demand(price, members))
        over = (used - self.supply.double()).squeeze(-1)
        return torch.where(fits(used, self.supply), over.clamp(max=0), over)

    def longest_prefix(self) -> Tensor:
        """The largest count [...] whose demand, at its last member's own price, fits the supply.

        Agents with an infinite reservation price buy at every price and are always members. Bisection over ranks
        with four steps of five placed by interpolation (the Illinois rule), which saves most evaluations.
        """
        always, everyone = (self.unit == torch.inf).sum(-1), self.eligible

        def over(count: Tensor) -> Tensor:
            return self.excess(self.threshold(count - 1), self.members(count))

        below, above = -self.supply.double().squeeze(-1), over(everyone)
        low = torch.where(above <= 0, everyone, always)  # fits
        high = torch.maximum(everyone, low + 1)  # does not, or is one past the end
        before = torch.zeros_like(above, dtype=torch.bool)
        for step in steps(1):
            searching = high - low > 1
            if not searching.any():
                break
            share = (below / (below - above)).nan_to_num(0.5) if step % 5 else torch.full_like(below, 0.5)
            guess = torch.minimum(torch.maximum(low + ((high - low) * share).long(), low + 1), high - 1)
            excess = over(torch.where(searching, guess, low))
            fit = excess <= 0
            # An end that stays put twice counts half: interpolation alone would creep up on it from one side.
            again = (fit == before) & (step > 1)
            below = torch.where(fit, excess, torch.where(again, below / 2, below))
            above = torch.where(fit, torch.where(again, above / 2, above), excess)
            low, high = torch.where(searching & fit, guess, low), torch.where(searching & ~fit, guess, high)
            before = fit
        return low

    def clearing_price(self, count: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest price [...] that keeps the next agent out and at which the prefix fits, and whether it is slack.

        Slack: nobody is kept out, and demand at the floor fits. Where there is no floor, demand that is satiated
        at every price leaves the price at the reservation price of the last member.
        """
        members = self.members(count)

        def excess(price: Tensor) -> Tensor:
            return self.excess(price, members)

        bottom = self.threshold(count).clamp(min=self.floor)
        everyone = count >= self.eligible
        bottom = torch.where(everyone, self.floor, bottom)
        last = torch.maximum(self.threshold(count - 1), bottom)
        if CONCAVE not in self.bids.traits:
            bottom = torch.where(bottom == -torch.inf, last, bottom)
        low, high = bracket(excess, bottom, last)
        fits_low = excess(low) <= 0
        price = low if fits_low.all() else torch.where(fits_low, low, bisect(excess, low, high))
        price = torch.where(count == 0, bottom, price)
        return torch.where(price.isfinite(), price, 0.0), everyone & fits_low

    def ration(self, count: Tensor, quantity: Tensor) -> tuple[Tensor, Tensor]:
        """Admit further agents while welfare rises: (members' count [...], quantity [..., n]).

        The number admitted at once doubles while welfare rises and is halved when it does not, so that ties take
        log steps; the same as one by one where welfare is concave in their number.
        """
        if self.bids.traits & {CONCAVE, INDIVISIBLE}:  # demand fills the supply already, or cannot shrink
            return count, quantity
        best, step = self.bids.utility(quantity).sum(-1), torch.ones_like(count)
        growing = torch.ones_like(count, dtype=torch.bool)
        while ((step > 0) & (count < self.eligible)).any():
            tried = torch.minimum(count + step, self.eligible)
            offer, feasible = self.exhausting(tried)
            welfare = self.bids.utility(offer).sum(-1)
            better = feasible & (welfare > best) & (tried > count)
            count, best = torch.where(better, tried, count), torch.where(better, welfare, best)
            quantity = torch.where(better.unsqueeze(-1), offer, quantity)
            growing = growing & better
            step = torch.where(growing, step * 2, step // 2)
        return count, quantity

    def exhausting(self, count: Tensor) -> tuple[Tensor, Tensor]:
        """Members' demand [..., n] at the inner price that exhausts supply, none leaving, and whether it can fit."""
        members = self.members(count)
        bottom = torch.full_like(self.threshold(count), max(self.floor, 0.0))
        feasible = self.excess(torch.full_like(bottom, torch.finfo(bottom.dtype).max), members) <= 0

        def excess(price: Tensor) -> Tensor:
            return torch.where(feasible, self.excess(price, members), 0.0)

        low, high = bracket(excess, bottom, torch.full_like(bottom, torch.inf))
        price = torch.where(excess(low) <= 0, low, bisect(excess, low, high))
        return self.demand(price, members), feasible
