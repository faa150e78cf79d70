"""Shapley values of units, by sampling the orders in which they join."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, coalition_losses
from walras.agents.valuations.coalitions.leave_one_out import LeaveOneOut
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError


@final
@dataclass(frozen=True)
class Estimate:
    """Mean marginal values [n], standard errors of these means [n], and the number of coalitions evaluated."""

    value: Tensor
    error: Tensor
    coalitions: int


@final
@dataclass(frozen=True)
class Shapley(Valuation):
    """A unit is worth what it adds on average, over all orders in which units could join a network without any.

    1. Draw an order of the units that are there; with `antithetic`, also the same one backwards, whose errors tend to
       cancel (Mitchell et al.).
    2. Let them join one after the other: a unit's marginal value is what the loss falls by when it joins.
    3. The mean over orders estimates the Shapley value without bias (Castro et al.); its standard error falls with the
       square root of their number.

    The values add up to the loss of the network without any unit less that of the present one, whatever the number of
    orders. Units that have left are worth what `LeaveOneOut` says. The work is n forward passes per order.
    """

    permutations: int = 16
    antithetic: bool = True
    name: ClassVar[str] = "shapley"
    unit: ClassVar[str] = "mean fall of the loss"
    source: ClassVar[str] = "Castro et al. 2009, doi 10.1016/j.cor.2008.04.004; Mitchell et al. 2022, arXiv 2104.12199"

    def __post_init__(self) -> None:
        if isinstance(self.permutations, bool) or not isinstance(self.permutations, int) or self.permutations < 1:
            raise InputError(f"permutations is {self.permutations!r}; it must be a whole number of at least 1")

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Values [n], those below 0 taken for 0."""
        value = self.estimate(calibration, gates, generator).value.to(gates.device)
        if bool((gates == 0).any()):
            value = torch.where(gates == 0, LeaveOneOut()(calibration, gates, generator), value)
        return value.clamp(min=0)

    def estimate(
        self, calibration: Calibration, gates: Tensor, generator: torch.Generator, players: Tensor | None = None
    ) -> Estimate:
        """Steps 1 to 3; units that have left have value and error 0. One draw has no error: NaN.

        `players` (bool [n]) are the units that join, all by default; the others stay as they are, and have 0 as well.
        """
        now = gates.detach().float().cpu()
        joins = now != 0 if players is None else (now != 0) & players.cpu()
        (present,) = joins.nonzero(as_tuple=True)
        ends = coalition_losses(calibration, torch.stack([now.masked_fill(joins, 0.0), now]))
        draws = []
        for _ in range(self.permutations):
            order = present[torch.randperm(len(present), generator=generator)]
            orders = [order, order.flip(0)] if self.antithetic else [order]
            draws.append(torch.stack([_marginal(calibration, now, o, ends) for o in orders]).mean(0))
        found = torch.stack(draws)
        error = found.std(0) / len(found) ** 0.5 if len(found) > 1 else torch.full_like(found[0], torch.nan)
        each = 2 if self.antithetic else 1
        return Estimate(found.mean(0), error, 2 + self.permutations * each * max(len(present) - 1, 0))


def _marginal(calibration: Calibration, now: Tensor, order: Tensor, ends: Tensor) -> Tensor:
    """What each unit adds [n] when it joins in this order; losses `ends` [2] with none and with all are known."""
    alone = now.index_fill(0, order, 0.0)  # with the units that do not play
    joined = alone.repeat(max(len(order) - 1, 0), 1)
    for i, unit in enumerate(order[:-1]):
        joined[i:, unit] = now[unit]
    between = coalition_losses(calibration, joined) if len(joined) else torch.zeros(0, dtype=torch.float64)
    losses = torch.cat([ends[:1], between, ends[1:]])
    value = torch.zeros(len(now), dtype=torch.float64)
    if len(order):
        value[order] = -losses.diff()
    return value
