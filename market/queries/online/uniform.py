"""Policies that look at no query: equal shares, and a cap that never changes."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from walras.market.queries.limits import MOST_TOKENS, amount
from walras.market.queries.online.policy import OnlinePolicy, Seen
from walras.mechanisms.bids.surge import SurgeBids


@final
@dataclass(frozen=True)
class UniformPolicy(OnlinePolicy):
    """Every query gets an equal share of the window's budget: budget / queries expected in a window, up to its cap."""

    name: ClassVar[str] = "uniform"
    informed: ClassVar[bool] = False

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """The share."""
        return _within(bids, seen.share)


@final
@dataclass(frozen=True)
class FixedCapPolicy(OnlinePolicy):
    """Every query gets the same number of tokens, as engines' ceilings do, first come first served.

    Attributes:
        tokens: for each.
    """

    tokens: float = 4096.0
    name: ClassVar[str] = "fixed-cap"
    informed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        amount(self.tokens, "tokens", 1.0)

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """The cap."""
        del seen
        return _within(bids, self.tokens)


@final
@dataclass(frozen=True)
class UnlimitedPolicy(OnlinePolicy):
    """Every query gets what is left of the window, as where nobody sets a limit."""

    name: ClassVar[str] = "unlimited"
    informed: ClassVar[bool] = False

    def wanted(self, bids: SurgeBids, seen: Seen) -> list[float]:
        """All that it may use."""
        del seen
        return _within(bids, float(MOST_TOKENS))


def _within(bids: SurgeBids, tokens: float) -> list[float]:
    """The same for all, up to their caps."""
    found: list[float] = torch.as_tensor(bids.cap).expand_as(bids.threshold).clamp(max=tokens).tolist()
    return found
