"""The discriminatory auction: each winner pays what it bid."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

from torch import Tensor

from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.clearing import Clearing
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.rules.shadow_price import ShadowPrice
from walras.mechanisms.traits import (
    BUDGETED,
    CHAINED,
    INDIVIDUALLY_RATIONAL,
    PERMUTATION_INVARIANT,
    PRICE_FLOOR,
    SCALE_INVARIANT,
    SEPARABLE,
    SEVERAL_RESOURCES,
    SUPPLY_MONOTONE,
)


@final
@dataclass(frozen=True)
class PayAsBidAuction(Mechanism):
    """Bids are sealed, the highest win, and each winner pays its own bid.

    1. Bids win in the order of value per cost until the supply is gone: those that `ShadowPrice` would serve.
    2. Each winner pays what it reported for what it gets: of a whole demand curve, the area below it.
    3. The price is the one at which the market would have cleared (the stop-out price), for information only.

    Known as the discriminatory auction. Reports leave no surplus, so that a truthful bidder gains nothing, and bidders
    report less than their value (they shade). By the revenue equivalence theorem its revenue is that of the uniform
    price only after they have done so.
    """

    price_floor: float = money(0.0)
    requires: ClassVar[frozenset[str]] = frozenset({SEPARABLE})
    clears: ClassVar[frozenset[str]] = frozenset({CHAINED})
    pays_bid: ClassVar[bool] = True
    refuses: ClassVar[frozenset[str]] = frozenset({BUDGETED})
    guarantees: ClassVar[frozenset[str]] = frozenset(
        {PRICE_FLOOR, INDIVIDUALLY_RATIONAL, PERMUTATION_INVARIANT, SCALE_INVARIANT, SUPPLY_MONOTONE, SEVERAL_RESOURCES}
    )
    source: ClassVar[str] = "Krishna, Auction Theory, 2nd ed., section 12.1"

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        """Steps 1 to 3 of the class, batched: supply [..., K], cost [..., n, K]."""
        cleared = ShadowPrice(self.price_floor)(bids, supply, cost)
        return replace(cleared, payment=bids.utility(cleared.quantity))
