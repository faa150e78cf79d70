"""Expert choice: every expert holds an auction of its places among the tokens."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.mechanisms import IndivisibleBids, UniformPriceAuction
from walras.models.routing.rule import Allotment, RoutingMarket, RoutingRule, check_capacity, check_k, highest, places
from walras.models.routing.top_experts import TopExperts


@final
@dataclass(frozen=True)
class ExpertChoice(RoutingRule):
    """Each expert takes the tokens with the highest shares of it, as many as it has places (Zhou et al. 2022).

    A token's share of an expert is the softmax of its logits (arXiv 2202.09368, section 3). All experts are equally
    loaded; some tokens get many experts, others none. The price is the first share that an expert turned away.

    Whether a token is taken depends on later tokens of the batch, so that training sees the future a little and a
    decoder cannot do it. Evaluation is by top-k.

    Attributes:
        capacity: places of an expert, in equal shares of the tokens times k.
    """

    capacity: float = 1.0
    name: ClassVar[str] = "expert-choice"
    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_capacity(self.capacity, 0.0)

    def __call__(self, logits: Tensor, k: int) -> Allotment:
        """As `RoutingRule`."""
        check_k(k, logits.shape[-1])
        shares, room = logits.softmax(-1).T, places(logits, k, self.capacity)
        turned_away = shares.sort(-1, descending=True).values[:, min(room, shares.shape[-1] - 1)]
        return Allotment(highest(shares, room).T, turned_away)

    def market(self, logits: Tensor, k: int) -> RoutingMarket:
        """Each expert sells its places to the tokens, whose bids are their shares."""
        room = float(places(logits, k, self.capacity))
        return RoutingMarket(UniformPriceAuction(price_floor=-torch.inf), IndivisibleBids(logits.softmax(-1).T), room)

    def settle(self, quantity: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Transposed: the market has a row an expert."""
        del shape
        return quantity.T > 0

    def at_evaluation(self) -> RoutingRule:
        """Top-k."""
        return TopExperts()
