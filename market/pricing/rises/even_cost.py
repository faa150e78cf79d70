"""A rise that is slow where a little more of the price moves much compute."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

from walras.errors import InputError
from walras.escaping import shown
from walras.market.pricing.rises.rise import Memory, Rise, check_positive


class _Seen(NamedTuple):
    """What the last step left."""

    share: float  # of the price, that was asked for
    at: float
    cost: float
    first: float  # cost of the first step
    pace: float  # relative to a linear rise over what is left


@final
@dataclass(frozen=True)
class EvenCost(Rise):
    """The price rises so that compute falls evenly: slowly where demand for compute gives way, fast where it does not.

    With f the share of the price, c the expected cost, t the time as a share of the priced training, u = `until`:

        r = -(c_k - c_{k-1}) / (f_k - f_{k-1})         how much compute a little more of the price moves here
        R = (c_0 - c_k) / f_k                          how much it has moved on average
        m <- m^(1-w) * (R / r)^w,  w = dt / window     the pace, R / r within 1/most .. most
        f = 1 - (1 - f_k) * ((u - t) / (u - t_k))^m    the solution of d(1 - f)/dt = -m (1 - f) / (u - t)

    At pace 1 this is the linear rise; whatever the pace, the whole price is asked for from u on. Where R / r is held,
    c falls by the same amount in any time. Annealing at constant thermodynamic speed does so with a temperature, slow
    where the heat capacity, which is this response, jumps (Salamon et al. 1988, Computer Physics Communications 49).
    """

    name: ClassVar[str] = "even-cost"

    until: float = 0.5
    window: float = 0.05  # of the priced training, over which the pace follows
    most: float = 4.0

    def __post_init__(self) -> None:
        check_positive(self.name, "until", self.until, 1.0)
        check_positive(self.name, "window", self.window, 1.0)
        check_positive(self.name, "most", self.most)
        if not 1 < self.most < math.inf:
            raise InputError(f"most of rise {self.name} is {shown(self.most)}; it must be a number above 1")

    def share(self, at: float, memory: Memory) -> float:
        """From the last step on at the present pace; the whole price from `until` on."""
        if at >= self.until:
            return 1.0
        if not memory:
            return at / self.until
        seen = _Seen(*memory)
        left = (self.until - at) / (self.until - seen.at)
        return 1 - (1 - seen.share) * math.pow(left, seen.pace)

    def after(self, at: float, cost: float, memory: Memory) -> Memory:
        """The pace by what the last bit of the price has moved."""
        if at >= self.until:
            return memory
        share = self.share(at, memory)
        if not memory:
            return _Seen(share, at, cost, cost, 1.0)
        seen = _Seen(*memory)
        weight, wanted = min((at - seen.at) / self.window, 1.0), self._wanted(seen, share, cost)
        return _Seen(share, at, cost, seen.first, seen.pace ** (1 - weight) * wanted**weight)

    def _wanted(self, seen: _Seen, share: float, cost: float) -> float:
        """R / r, between 1/most and most; 1 as long as the price has moved nothing."""
        rise, fall, fallen = share - seen.share, seen.cost - cost, seen.first - cost
        if rise <= 0 or share <= 0 or (fall <= 0 and fallen <= 0):
            return 1.0
        response, mean = max(fall, 0.0) / rise, max(fallen, 0.0) / share
        ratio = mean / response if response > 0 else math.inf
        return min(max(ratio, 1 / self.most), self.most)
