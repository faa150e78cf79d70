"""Shadow prices of the experts' capacity."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, final

from torch import Tensor

from walras.errors import InputError
from walras.models.routing.balanced_assignment import check_tolerance
from walras.models.routing.places import market_of_places, sold_places
from walras.models.routing.posted_prices import PostedPrices
from walras.models.routing.rule import Allotment, RoutingMarket, RoutingRule, check_capacity, places


@final
@dataclass(frozen=True)
class CapacityPrice(RoutingRule):
    """`ShadowPrice` with capacity as supply: each expert sells so many places, and tokens bid their logits for them.

    The allotment of greatest sum of logits in which every token has k experts and no expert more tokens than places.
    An expert's price is the multiplier of its capacity: 0 where it has places left. At these prices each token gets the
    k experts of highest logit less price, so that this is top-k where no capacity binds.

    The prices of a batch depend on all its tokens. Evaluation is at posted prices, the running mean of those of
    training, so that a token needs no other (`PostedPrices`).

    Attributes:
        capacity: places of an expert, in equal shares; at 1 all are sold (`BalancedAssignment`).
        memory: share of the running mean that a batch leaves as it was.
        tolerance: by which bids outdo each other, as a share of how far a token's logits are apart on average.
        learned: the running mean [experts].
    """

    capacity: float = 1.25
    memory: float = 0.9
    tolerance: float = 0.02
    learned: Tensor | None = field(default=None, compare=False)
    name: ClassVar[str] = "capacity-price"
    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_capacity(self.capacity, 1.0)
        check_tolerance(self.tolerance)
        if not 0 <= self.memory < 1:
            raise InputError(f"memory is {self.memory}; it must be a number from 0, below 1")

    def __call__(self, logits: Tensor, k: int) -> Allotment:
        """As `RoutingRule`."""
        return sold_places(logits, k, places(logits, k, self.capacity), self.tolerance)

    def market(self, logits: Tensor, k: int) -> RoutingMarket:
        """`ShadowPrice` with the capacity as the supply of each expert."""
        return market_of_places(logits, k, places(logits, k, self.capacity))

    def after(self, allotment: Allotment) -> "CapacityPrice":
        """The running mean goes on."""
        price = allotment.price
        if price is None:
            return self
        mean = price if self.learned is None else self.memory * self.learned + (1 - self.memory) * price
        return replace(self, learned=mean)

    def at_evaluation(self) -> RoutingRule:
        """Posted prices."""
        return PostedPrices(self.learned)
