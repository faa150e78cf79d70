"""A rise that goes on until compute has come down to a target, and holds it there."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

from walras.market.pricing.rises.rise import Memory, Rise, check_positive
from walras.market.schedule import check_budget


class _Seen(NamedTuple):
    """What the last step left."""

    share: float  # of the price, asked for in the next step
    at: float
    cost: float


@final
@dataclass(frozen=True)
class ByTarget(Rise):
    """The price grows while more than a budget is used, and is held where the budget is met.

    A feedback controller on the logarithm of the share f of the price, with c the expected cost and t the time, as
    shares of the priced training; f begins at `first` and stays between that and 1:

        f <- f * exp(gain * ((c - budget) * dt + damping * dc))

    The first term multiplies the weight of a constraint by the exponential of how far it is missed (Rezende and Viola
    2018, arXiv 1810.00597). The second holds back while the cost is falling already: a controller that integrates
    alone swings around its target, since gates go on closing for a while (Stooke et al. 2020, arXiv 2007.03964). The
    tax is the most that is ever asked for: where even that leaves more than the budget, it is asked for in the end.

    With `gain` and `damping` as they are, simulated gates under noisy losses land within 0.05 of budgets of 0.4 and 0.6
    in 110 steps, at taxes of 20 and of 100; almost without damping they miss them by up to 0.2.
    """

    name: ClassVar[str] = "by-target"

    budget: float = 0.5
    gain: float = 60.0
    damping: float = 0.2  # of the priced training: how far ahead the cost is foreseen
    first: float = 0.01

    def __post_init__(self) -> None:
        check_budget(self.budget)
        check_positive(self.name, "gain", self.gain)
        check_positive(self.name, "damping", self.damping)
        check_positive(self.name, "first", self.first, 1.0)

    def share(self, at: float, memory: Memory) -> float:
        """As the last step left it."""
        del at
        return _Seen(*memory).share if memory else self.first

    def after(self, at: float, cost: float, memory: Memory) -> Memory:
        """One step of the controller."""
        if not memory:
            return _Seen(self.first, at, cost)
        seen = _Seen(*memory)
        moved = (cost - self.budget) * (at - seen.at) + self.damping * (cost - seen.cost)
        rest = math.log(seen.share) + self.gain * moved
        return _Seen(math.exp(min(max(rest, math.log(self.first)), 0.0)), at, cost)
