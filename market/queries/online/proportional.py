"""Budgets in proportion to thresholds: what queries are thought to need."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from walras.market.queries.online.policy import OnlinePolicy, Seen
from walras.mechanisms.bids.surge import SurgeBids


@final
@dataclass(frozen=True)
class ProportionalPolicy(OnlinePolicy):
    """Every query gets an equal share times its threshold over the mean threshold of recent queries, up to its cap."""

    name: ClassVar[str] = "proportional"
    informed: ClassVar[bool] = False  # a share below the threshold is granted all the same, as the batch rule does

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """Shares; of the first queries, over the mean of themselves. Queries that nothing helps get nothing."""
        need = bids.threshold.clamp(min=1.0).where(bids.solvent, bids.threshold.new_zeros(()))
        recent = [max(threshold, 1.0) for threshold, _, _ in seen.recent_helped()] or need[need > 0].tolist()
        mean = sum(recent) / len(recent) if recent else 1.0
        found: list[float] = (seen.share * need / mean).minimum(torch.as_tensor(bids.cap)).tolist()
        return found
