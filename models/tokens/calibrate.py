"""Prices at which a network, computed from what its tokens buy, spends a budget."""

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from numbers import Real
from typing import final

from walras.errors import InputError
from walras.models.tokens.account import TokenMacs
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.offers import LARGEST, Offers
from walras.models.tokens.relative_prices import PricePolicy, Prices, RelativePrices
from walras.models.tokens.rules import PriceRule
from walras.user_code import user_code

ROUNDS = 9
NEAR = 0.001
FAR = 0.005


@final
@dataclass(frozen=True)
class Calibration:
    """Prices, and what the calibration data spent at them.

    Attributes:
        prices: by path of the map.
        bought: share of the bidders that bought, by path.
        spent: share of the dense network's multiplications.
        rounds: how often prices were found anew.
    """

    prices: Prices
    bought: dict[str, float]
    spent: float
    rounds: int


def find_prices(network: Calibrated, budget: float, policy: PricePolicy, account: TokenMacs) -> Calibration:
    """Clear the bids of the sparse network itself until it spends the budget.

    1. Collect the offers of the dense network, and price them so that the budget's share is sold.
    2. Run the network at these prices: inputs of later maps change with what earlier ones dropped, and so do their
       bids. Collect the offers again, and price them.
    3. Repeat until what is spent is within 0.1 points of the budget; nine times at most. A warning says where it is
       more than 0.5 points off after that: bids of 0, or that are alike, are bought all or none at any price.

    Raises:
        InputError: a budget that bids and attention alone exceed; prices that are missing, below 0, or no finite
            numbers, the map being named.
        UserCodeError: a policy of the user's own raised an error.
    """
    share = account.for_sale(budget)
    relative = _fitted(policy, network, share)
    prices = _prices(relative, network, network.dense_offers, share)
    for rounds in range(1, ROUNDS + 1):
        offers = network.offers(PriceRule(prices))
        bought = {path: own.bought / own.offered for path, own in offers.items()}
        spent = account.spent(network.maps, bought)
        found = Calibration(prices, bought, spent, rounds)
        if abs(spent - budget) <= NEAR:
            break
        prices = _prices(relative, network, offers, share)
    if abs(found.spent - budget) > FAR:
        warnings.warn(
            f"an average token spends {found.spent:.3f} where the budget is {budget:g}: no prices were found that are "
            "nearer; many bids are 0, or alike, or the text is too short",
            stacklevel=2,
        )
    return found


def _fitted(policy: PricePolicy, network: Calibrated, share: float) -> RelativePrices:
    """What a policy makes of a network, checked."""
    with _naming(policy):
        found: object = policy.fit(network, share)
    if not isinstance(found, RelativePrices):
        kind = type(policy).__name__
        raise InputError(f"price policy {kind}: fit returned {type(found).__name__}; it must be a RelativePrices")
    return found


def _prices(relative: RelativePrices, network: Calibrated, offers: Mapping[str, Offers], share: float) -> Prices:
    """Its prices, checked."""
    with _naming(relative):
        found: object = relative(network.maps, offers, share)
    told = found if isinstance(found, Mapping) else {}
    checked: Prices = {}
    for traded in network.maps:
        price = told.get(traded.path)
        if not isinstance(price, Real) or not 0 <= float(price) <= LARGEST:
            name = f"price policy {type(relative).__name__}"
            raise InputError(f"{name}: the price of {traded.path} is {price!r}; it must be a number from 0 to 3.4e38")
        checked[traded.path] = float(price)
    return checked


def _naming(policy: PricePolicy) -> AbstractContextManager[None]:
    """Errors of a user's own policy are told with its name."""
    kind = type(policy)
    return nullcontext() if kind.__module__.startswith("walras.") else user_code(f"price policy {kind.__name__}")
