"""How evenly experts are loaded, counted over batches."""

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from walras.models.routing.rule import Allotment


@final
@dataclass
class Load:
    """Counts over the batches of one layer that `add` has been shown.

    Attributes:
        experts: tokens of each expert [experts].
        tokens: of all batches.
        without: tokens that got no expert.
        over: places beyond `capacity` equal shares of their batch: what an implementation that reserves as much for
            each expert has to drop.
        excess: sum over batches of how far the most loaded expert is above the mean, as a share of the mean.
        batches: how many.
    """

    capacity: float = 1.25
    experts: Tensor = field(default_factory=lambda: torch.zeros(0))
    tokens: int = 0
    without: int = 0
    over: float = 0.0
    excess: float = 0.0
    batches: int = 0

    def add(self, allotment: Allotment) -> None:
        """Count a batch."""
        load = allotment.chosen.sum(0).double().cpu()
        mean = float(load.mean())
        self.experts = load if not self.batches else self.experts + load
        self.tokens += len(allotment.chosen)
        self.without += int((~allotment.chosen.any(-1)).sum())
        self.over += float((load - self.capacity * mean).clamp(min=0).sum())
        self.excess += float(load.max()) / mean - 1 if mean else 0.0
        self.batches += 1

    @property
    def violation(self) -> float:
        """Mean over batches of (greatest load - mean) / mean, MaxVio of arXiv 2408.15664 a batch; 0: balanced."""
        return self.excess / max(self.batches, 1)

    @property
    def dropped(self) -> float:
        """Share of all places that lie beyond the capacity."""
        return self.over / max(float(self.experts.sum()), 1.0)

    @property
    def unserved(self) -> float:
        """Share of tokens that got no expert."""
        return self.without / max(self.tokens, 1)
