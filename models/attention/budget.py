"""The setting of a rule at which the mean over many rows meets a budget: of keys, or of attention's mass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.bids.interface import expands
from walras.mechanisms.solvers.root import newton_step, search
from walras.models.attention.entmax import Entmax
from walras.models.attention.rule import AttentionRule
from walras.models.attention.threshold import Threshold

_OCTAVES = 32.0  # temperatures are sought so far above and below the spread of the scores
_WITHIN = 2.0**-20  # share of the answer that is near enough where the mean moves in steps


@final
@dataclass(frozen=True)
class Budget:
    """A setting [], the mean reached at it, and whether the budget is inactive: as much as there is, or more."""

    setting: Tensor
    reached: float
    inactive: bool


@torch.no_grad()
def temperature_for_support(scores: Tensor, k: float, alpha: float = 2.0, rows: Tensor | None = None) -> Budget:
    """The lowest temperature of `Entmax(alpha)` (2 is sparsemax) at which k keys a row, on average, get something.

    The support of a row grows with the temperature, key by key, from the best key to all that are open. A budget of
    more keys than are open is inactive: the answer is the lowest temperature that keeps them all.

    Args:
        scores: [..., keys], -inf where a key is closed.
        k: mean support, 1 or more. Where it falls between two steps the answer is the upper one.
        alpha: above 1, for softmax keeps every key at every temperature.
        rows: bool [...], those that count (queries that are no padding). Rows without an open key never do.

    Raises:
        InputError: k or alpha is out of range; `rows` does not fit or leaves nothing.
    """
    if not 1 < alpha < torch.inf:
        raise InputError(f"alpha is {alpha}; it must be a number above 1: softmax keeps every key")
    rows_in = _counted(scores, rows)
    lowest = rows_in.masked_fill(rows_in == -torch.inf, torch.inf).amin(-1)
    spread = (rows_in.amax(-1) - lowest).max()
    spread = torch.where(spread > 0, spread, 1.0)

    def temperature(cold: Tensor) -> Tensor:
        return spread * 2 ** (_OCTAVES - cold)

    def support(cold: Tensor) -> Tensor:
        return _support(Entmax(alpha, temperature(cold)), rows_in)

    cold, inactive = _tightest(support, _keys(k), spread.new_zeros(()), spread.new_tensor(2 * _OCTAVES))
    return Budget(temperature(cold), support(cold).item(), inactive)


@torch.no_grad()
def price_for_support(scores: Tensor, k: float, rows: Tensor | None = None) -> Budget:
    """The highest price of `Threshold` at which k keys a row, on average, get something.

    Arguments and errors are those of `temperature_for_support`. An inactive budget has a price below every weight.
    """
    rows_in = _counted(scores, rows)

    def support(price: Tensor) -> Tensor:
        return _support(Threshold(price), rows_in)

    price, inactive = _tightest(support, _keys(k), rows_in.new_zeros(()), rows_in.new_ones(()))
    return Budget(price, support(price).item(), inactive)


def price_for_mass(scores: Tensor, mass: float, rows: Tensor | None = None) -> Budget:
    """The price of `NullKey` at which real keys hold `mass` of each row's attention, on average.

    A row's mass is the sigmoid of logsumexp(scores) - price, which brackets the price between the rows' own. It is
    differentiable in the scores. A mass of 1 is inactive, at a price of -inf.

    Args:
        scores: [..., keys], -inf where a key is closed.
        mass: above 0, at most 1.
        rows: as in `temperature_for_support`.

    Raises:
        InputError: mass is out of range; `rows` does not fit or leaves nothing.
    """
    if not 0 < mass <= 1:
        raise InputError(f"mass is {mass}; it must be above 0 and at most 1")
    worth = _counted(scores, rows).logsumexp(-1)
    if mass == 1:
        return Budget(worth.new_tensor(-torch.inf), 1.0, True)

    def used(price: Tensor) -> Tensor:
        return (worth - price).sigmoid().mean(dtype=torch.float64)

    with torch.no_grad():
        own = worth - worth.new_tensor(mass).logit()
        price, _ = _tightest(used, mass, own.min(), own.max(), within=0.0)
    if worth.requires_grad:
        price = newton_step(lambda at: used(at) - mass, price)
    return Budget(price, used(price).item(), False)


def _tightest(
    mean: Callable[[Tensor], Tensor], goal: float, loose: Tensor, tight: Tensor, within: float = _WITHIN
) -> tuple[Tensor, bool]:
    """The point [] nearest to `tight` at which a mean that falls from `loose` to `tight` is at least the goal.

    True beside it where the goal is all there is at `loose`, or more.
    """
    most = mean(loose)
    least = most.clamp(max=goal)
    return search(lambda at: least - mean(at), loose, tight, within), goal >= most.item()


def _support(rule: AttentionRule, scores: Tensor) -> Tensor:
    """Mean number [] of keys with a positive weight."""
    return (rule(scores) > 0).sum(-1).mean(dtype=torch.float64)


def _keys(k: float) -> float:
    if not 1 <= k < torch.inf:
        raise InputError(f"k is {k}; it must be a number of keys, at least 1")
    return k


def _counted(scores: Tensor, rows: Tensor | None) -> Tensor:
    """The rows [number, keys] that count."""
    counts = (scores > -torch.inf).any(-1)
    if rows is not None:
        if not expands(rows.shape, counts.shape):
            raise InputError(f"rows has shape {[*rows.shape]}; it must fit {[*counts.shape]} rows of scores")
        counts = counts & rows.bool()
    if not counts.any():
        raise InputError(f"none of {counts.numel()} rows of scores counts and has an open key")
    return scores[counts]
