"""Prices of experts that were posted beforehand."""

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import IndivisibleBids, UniformPriceAuction
from walras.models.routing.rule import Allotment, RoutingMarket, RoutingRule, check_k, highest


@final
@dataclass(frozen=True)
class PostedPrices(RoutingRule):
    """Each token gets the k experts of highest logit less price: a market at prices that no token moves.

    How rules with prices are evaluated: with the prices that training has found, a token needs to know of no other.
    `learned` are the prices [experts]; without them all are 0, which is top-k.
    """

    learned: Tensor | None = field(default=None, compare=False)
    name: ClassVar[str] = "posted-prices"

    def __call__(self, logits: Tensor, k: int) -> Allotment:
        """As `RoutingRule`."""
        check_k(k, logits.shape[-1])
        price = prices_of(self.learned, logits)
        return Allotment(highest(logits - price, k), price)

    def market(self, logits: Tensor, k: int) -> RoutingMarket:
        """Each token sells k places to the experts, which bid what their price leaves of the logit."""
        net = logits - prices_of(self.learned, logits)
        return RoutingMarket(UniformPriceAuction(price_floor=-torch.inf), IndivisibleBids(net), float(k))


def prices_of(learned: Tensor | None, logits: Tensor) -> Tensor:
    """Prices [experts] for these logits; 0 where none have been learned.

    Raises:
        InputError: prices of another number of experts.
    """
    experts = logits.shape[-1]
    if learned is None:
        return torch.zeros(experts, dtype=logits.dtype, device=logits.device)
    if learned.shape != (experts,):
        raise InputError(f"prices have shape {[*learned.shape]}; the layer has {experts} experts")
    return learned.to(logits)
