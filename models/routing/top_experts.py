"""Top-k: every token holds an auction of k places among the experts."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.mechanisms import IndivisibleBids, UniformPriceAuction
from walras.models.routing.rule import Allotment, RoutingMarket, RoutingRule, check_k, highest


@final
@dataclass(frozen=True)
class TopExperts(RoutingRule):
    """Each token gets the k experts of its highest logits: what transformers does.

    A uniform-price auction for every token: the price is its (k+1)-th logit. Nobody asks how many tokens an expert gets
    (Shazeer et al. 2017, arXiv 1701.06538).
    """

    name: ClassVar[str] = "top-experts"

    def __call__(self, logits: Tensor, k: int) -> Allotment:
        """As `RoutingRule`."""
        check_k(k, logits.shape[-1])
        return Allotment(highest(logits, k))

    def market(self, logits: Tensor, k: int) -> RoutingMarket:
        """Each token sells k places to the experts, whose bids are the logits."""
        return RoutingMarket(UniformPriceAuction(price_floor=-torch.inf), IndivisibleBids(logits), float(k))
