"""How many bidders would buy at each price: a histogram of values per map, small however long the text."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from walras.models.tokens.token_map import TokenMap

_PER_OCTAVE = 64
_MANTISSA = 23 - (_PER_OCTAVE.bit_length() - 1)  # bits of a float32 that tell values of one bin apart
_BINS = 255 * _PER_OCTAVE  # all finite float32 from 0 on
_LOWEST = -126  # exponent of the least normal one
LARGEST = float(torch.finfo(torch.float32).max)
"""Of a price in a network's markets."""


@final
@dataclass
class Offers:
    """Values per multiplication of all bidders of one map, counted in steps of at most 1.6 %; and how many bought.

    A bin holds the float32 that agree in their exponent and in the first bits of their mantissa: 64 bins for every
    doubling, of equal width within it, found without a logarithm.

    Attributes:
        counts: [bins], from the lowest value to the highest.
        offered: bidders so far, over all tokens.
        bought: those that bought.
    """

    counts: Tensor = field(default_factory=lambda: torch.zeros(_BINS, dtype=torch.int64))
    offered: int = 0
    bought: int = 0

    def add(self, value: Tensor, keep: Tensor) -> None:
        """Count finite values [..., n] of at least 0 and who bought (bool [..., n])."""
        bins = value.float().reshape(-1).view(torch.int32) >> _MANTISSA
        self.counts += torch.bincount(bins, minlength=_BINS).cpu()
        self.offered += value.numel()
        self.bought += int(keep.count_nonzero())

    def share_at(self, price: float) -> float:
        """Share of the bidders whose value is at least a price."""
        if price <= 0:
            return 1.0
        place = _place(price)
        if place >= _BINS:
            return 0.0
        edge = int(place)
        above = float(self.counts[edge + 1 :].sum())
        return (above + float(self.counts[edge]) * (1.0 - (place - edge))) / max(self.offered, 1)

    def price_for(self, share: float) -> float:
        """The price at which so large a share of the bidders buys; 0 where all do, above all values where none does."""
        if share >= 1:
            return 0.0
        wanted = share * self.offered
        if wanted <= 0:
            taken = self.counts.nonzero()
            return min(_value(int(taken.max()) + 1 if len(taken) else 1), LARGEST)
        above = self.counts.flip(0).cumsum(0).double()
        found = int(torch.searchsorted(above, torch.tensor(wanted, dtype=above.dtype)))
        if found >= _BINS:
            return 0.0
        edge, before = _BINS - 1 - found, float(above[found - 1]) if found else 0.0
        return _value(edge + 1 - (wanted - before) / max(float(self.counts[edge]), 1.0))


def _place(value: float) -> float:
    """Where a value above 0 lies among the bins: the number of its bin, and how far it is through it."""
    mantissa, exponent = math.frexp(value)  # in [0.5, 1), times a power of 2
    if exponent - 1 < _LOWEST:
        return math.ldexp(value, -_LOWEST) * _PER_OCTAVE
    return (exponent - _LOWEST + 2 * mantissa - 1) * _PER_OCTAVE


def _value(place: float) -> float:
    """The value at a place."""
    octave, within = divmod(place / _PER_OCTAVE, 1.0)
    return math.ldexp(within, _LOWEST) if octave < 1 else math.ldexp(1.0 + within, int(octave) - 1 + _LOWEST)


@final
class Collector:
    """Is told of clearings (`Tell`): the offers of every map."""

    def __init__(self) -> None:
        self.offers: dict[str, Offers] = {}

    def __call__(self, traded: TokenMap, value: Tensor, keep: Tensor) -> None:
        """Count one clearing."""
        self.offers.setdefault(traded.path, Offers()).add(value, keep)


@final
class Tally:
    """Is told of clearings (`Tell`): how many bid and how many bought, and nothing of what they bid."""

    def __init__(self) -> None:
        self._offered: Counter[str] = Counter()
        self._bought: Counter[str] = Counter()

    def __call__(self, traded: TokenMap, value: Tensor, keep: Tensor) -> None:
        """Count one clearing."""
        self._offered[traded.path] += keep.numel()
        self._bought[traded.path] += int(keep.count_nonzero())

    @property
    def bought(self) -> dict[str, float]:
        """Share of the bidders that bought, by path of the map."""
        return {path: self._bought[path] / offered for path, offered in self._offered.items()}
