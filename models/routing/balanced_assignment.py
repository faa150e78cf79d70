"""Balanced assignment: every expert gets the same number of tokens."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from walras.errors import InputError
from walras.models.routing.places import market_of_places, sold_places
from walras.models.routing.rule import Allotment, RoutingMarket, RoutingRule, places
from walras.models.routing.top_experts import TopExperts


@final
@dataclass(frozen=True)
class BalancedAssignment(RoutingRule):
    """The allotment of greatest sum of logits in which each expert has an equal share of the tokens.

    BASE layers (Lewis et al. 2021, arXiv 2103.16716), there with one expert a token, found by Bertsekas' auction
    (`assign_by_auction`). Prices are those of the experts' places: `CapacityPrice` at a capacity of 1.

    A token's expert depends on all tokens of the batch, later ones as well. Evaluation is by top-k, as in the paper.

    Attributes:
        tolerance: by which bids outdo each other, as a share of how far a token's logits are apart on average.
    """

    tolerance: float = 0.02
    name: ClassVar[str] = "balanced-assignment"
    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_tolerance(self.tolerance)

    def __call__(self, logits: Tensor, k: int) -> Allotment:
        """As `RoutingRule`."""
        return sold_places(logits, k, places(logits, k, 1.0), self.tolerance)

    def market(self, logits: Tensor, k: int) -> RoutingMarket:
        """`ShadowPrice` with an equal share as the supply of each expert."""
        return market_of_places(logits, k, places(logits, k, 1.0))

    def at_evaluation(self) -> RoutingRule:
        """Top-k."""
        return TopExperts()


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that is no share above 0.

    Raises:
        InputError: as said.
    """
    if not 0 < tolerance <= 1:
        raise InputError(f"tolerance is {tolerance}; it must be a number above 0, at most 1")
