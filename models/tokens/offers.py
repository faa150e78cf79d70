"""How many bidders would buy at each price: a histogram of values per map, small however long the text."""

from collections import Counter
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from walras.models.tokens.token_map import TokenMap

_LOWEST, _HIGHEST, _PER_OCTAVE = -140.0, 60.0, 64
_BINS = int((_HIGHEST - _LOWEST) * _PER_OCTAVE)


@final
@dataclass
class Offers:
    """Values per multiplication of all bidders of one map, counted in steps of 1.1 %; and how many bought.

    Attributes:
        counts: [bins], from the lowest value to the highest.
        offered: bidders so far, over all tokens.
        bought: those that bought.
    """

    counts: Tensor = field(default_factory=lambda: torch.zeros(_BINS, dtype=torch.float64))
    offered: int = 0
    bought: int = 0

    def add(self, value: Tensor, keep: Tensor) -> None:
        """Count values [..., n] and who bought (bool [..., n])."""
        logs = value.reshape(-1).log2().clamp_(_LOWEST, _HIGHEST - 1 / _PER_OCTAVE)
        self.counts += torch.histc(logs.float().cpu(), _BINS, _LOWEST, _HIGHEST).double()
        self.offered += value.numel()
        self.bought += int(keep.sum())

    def share_at(self, price: float) -> float:
        """Share of the bidders whose value is at least a price."""
        if price <= 0:
            return 1.0
        place = (torch.tensor(price, dtype=torch.float64).log2().item() - _LOWEST) * _PER_OCTAVE
        edge = min(max(int(place), 0), _BINS - 1)
        above = float(self.counts[edge + 1 :].sum())
        part = float(self.counts[edge]) * (1.0 - min(max(place - edge, 0.0), 1.0))
        return (above + part) / max(self.offered, 1)

    def price_for(self, share: float) -> float:
        """The price at which so large a share of the bidders buys; 0 where all do."""
        if share >= 1:
            return 0.0
        wanted = share * self.offered
        above = self.counts.flip(0).cumsum(0)
        place = int(torch.searchsorted(above, torch.tensor(wanted, dtype=above.dtype)))
        if place >= _BINS:
            return 0.0
        edge, before = _BINS - 1 - place, float(above[place - 1]) if place else 0.0
        within = (wanted - before) / max(float(self.counts[edge]), 1e-300)
        return float(2.0 ** (_LOWEST + (edge + 1 - within) / _PER_OCTAVE))


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
        self._bought[traded.path] += int(keep.sum())

    @property
    def bought(self) -> dict[str, float]:
        """Share of the bidders that bought, by path of the map."""
        return {path: self._bought[path] / offered for path, offered in self._offered.items()}
