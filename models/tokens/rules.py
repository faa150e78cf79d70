"""Who buys inside a token: the rules of this room's markets, and the same markets for the general mechanisms."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms import IndivisibleBids, Mechanism
from walras.models.attention.kernels import best
from walras.models.tokens.token_map import TokenMap


class TokenRule(ABC):
    """Clears the market of one map: bool [..., n] from values per multiplication [..., n]."""

    @abstractmethod
    def __call__(self, traded: TokenMap, value: Tensor) -> Tensor:
        """The bidders that buy."""


@final
@dataclass(frozen=True)
class PriceRule(TokenRule):
    """`PostedPrice`: whoever values a multiplication at the price or more buys, whatever the others do.

    Attributes:
        price: by path of the map.
    """

    price: "dict[str, float]"

    def __call__(self, traded: TokenMap, value: Tensor) -> Tensor:
        """One comparison per bidder."""
        return value >= self.price[traded.path]


@final
@dataclass(frozen=True)
class SameCountRule(TokenRule):
    """`UniformPriceAuction`: in every token the same number of bidders buys, those with the highest values.

    Attributes:
        share: of a map's bidders, by its path.
    """

    share: "dict[str, float]"

    def __call__(self, traded: TokenMap, value: Tensor) -> Tensor:
        """Ties by position."""
        count = round(self.share[traded.path] * traded.bidders)
        return best(value, count) if count else torch.zeros_like(value, dtype=torch.bool)


@final
@dataclass(frozen=True)
class BatchRule(TokenRule):
    """`ShadowPrice`: one market for all tokens of a batch, in which exactly a share of the multiplications is sold.

    Attributes:
        share: of a map's multiplications, by its path.
    """

    share: "dict[str, float]"

    def __call__(self, traded: TokenMap, value: Tensor) -> Tensor:
        """The highest values of the whole batch; ties by position."""
        flat = value.reshape(-1)
        count = round(self.share[traded.path] * flat.numel())
        keep = best(flat, count) if count else torch.zeros_like(flat, dtype=torch.bool)
        return keep.reshape(value.shape)


@final
@dataclass(frozen=True)
class RandomRule(TokenRule):
    """A control: as many bidders buy as are told, drawn by lot.

    Attributes:
        counts: of bidders that buy, by path of the map: [...] for every token, or [] for all tokens alike.
        generator: of the draws.
    """

    counts: "dict[str, Tensor]"
    generator: torch.Generator

    def __call__(self, traded: TokenMap, value: Tensor) -> Tensor:
        """Whatever they bid."""
        lots = torch.rand(value.shape, generator=self.generator).argsort(-1).argsort(-1)
        counts = self.counts[traded.path].cpu().expand(value.shape[:-1])
        return (lots < counts.unsqueeze(-1)).to(value.device)


@final
@dataclass(frozen=True)
class MechanismRule(TokenRule):
    """Any mechanism of the framework, one market per token; slower than the rules above, which equal it.

    Attributes:
        mechanism: clears the market of every token.
        share: of a map's multiplications that are for sale, by its path.
    """

    mechanism: Mechanism
    share: "dict[str, float]"

    def __call__(self, traded: TokenMap, value: Tensor) -> Tensor:
        """Bidders that get more than nothing of what they bid for."""
        cost = value.new_full((traded.bidders, 1), float(traded.cost))
        supply = value.new_tensor([self.share[traded.path] * traded.bidders * traded.cost])
        found = self.mechanism(IndivisibleBids(value * traded.cost), supply, cost)
        return found.quantity > 0
