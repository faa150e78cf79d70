"""Clearing a market of several resources, or of units that form chains, by the prices of its linear relaxation."""

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError, RequirementError
from walras.mechanisms.bids.interface import Bids, before_of
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import capacity, resource_use
from walras.mechanisms.solvers.chains import NONE, Chains
from walras.mechanisms.solvers.linear_program import WHOLE, Program
from walras.mechanisms.solvers.rounding import Rounding
from walras.mechanisms.traits import CONCAVE, INDIVISIBLE


def clear_program(bids: Bids, supply: Tensor, cost: Tensor, price_floor: float, rule: str) -> Clearing:
    """Clear indivisible bids: supply [..., K], cost [..., n, K], each market of a batch for itself.

    1. Solve the linear relaxation. Prices are `price_floor` plus its multipliers, the lowest ones where several support
       it: a resource that the relaxation does not use up has the price `price_floor`.
    2. Ration: round down, then fill greedily; with chains also dive, and take what is worth more (`Rounding`). The
       reported utility is within the K largest values of the exact optimum; with chains, within the values of K
       runs, each a stretch of one chain between two corners of the concave hull of its value over its charge.
    3. Each agent pays min(charge at the prices, value): the payment that follows where a rule names none.

    Slack: every agent that would buy at the price floor is served. Rationed: an agent that the relaxation serves whole
    is not served. Infeasible: no agent fits.

    Raises:
        RequirementError: bids that are not indivisible.
        InputError: no price floor (-inf).
    """
    if INDIVISIBLE not in bids.traits:
        raise RequirementError(
            f"{rule} of {supply.shape[-1]} resources requires bids that are {INDIVISIBLE} or {CONCAVE}; "
            f"{type(bids).__name__} are {', '.join(sorted(bids.traits))}"
        )
    if price_floor == -torch.inf:
        raise InputError(f"price_floor is {price_floor}; {rule} of several resources needs a finite one")
    value = bids.reservation_price()
    before = before_of(bids)
    quantity, price = torch.zeros_like(value), torch.zeros_like(supply)
    status = torch.zeros(value.shape[:-1], dtype=torch.int64, device=value.device)
    costs = cost.expand(*value.shape, cost.shape[-1])
    chains = None if before is None else before.expand(value.shape)
    for row in np.ndindex(*value.shape[:-1]):
        alone = _clear(value[row], costs[row], supply[row], None if chains is None else chains[row], price_floor)
        quantity[row], price[row], status[row] = alone
    return Clearing(quantity, price, status=status, residual=resource_use(cost, quantity) - supply)


def _clear(
    value: Tensor, cost: Tensor, supply: Tensor, before: Tensor | None, price_floor: float
) -> tuple[Tensor, Tensor, int]:
    """Quantity [n], price [K] and status of one market: value [n], cost [n, K], supply [K], before [n]."""
    reported, use = value.detach().double().cpu().numpy(), cost.detach().double().cpu().numpy()
    n = len(reported)
    chains = Chains(np.full(n, NONE) if before is None else before.cpu().numpy().astype(np.int64))
    blocked = reported == -np.inf
    net = np.where(blocked, 0.0, reported - price_floor * use.sum(-1))
    program = Program(net, use, capacity(supply.detach()).cpu().numpy(), chains, blocked)
    fraction, multiplier = program.relaxed(np.zeros(n), np.ones(n))
    price = program.lowest_prices(fraction, multiplier)
    served = Rounding(program, price).best(fraction)
    status = _status(net, blocked, fraction, served)
    return torch.tensor(served).to(value), torch.tensor(price_floor + price).to(supply), status


def _status(net: np.ndarray, blocked: np.ndarray, fraction: np.ndarray, served: np.ndarray) -> Status:
    wanting = (net >= 0) & ~blocked
    if served[wanting].all():
        return Status.SLACK
    if not served.any():
        return Status.INFEASIBLE
    return Status.RATIONED if (~served & (fraction >= 1 - WHOLE)).any() else Status.CLEARED
