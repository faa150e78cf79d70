"""Prices at which a network, computed from what its tokens buy, spends a budget."""

from dataclasses import dataclass
from typing import final

import torch

from walras.models.tokens.account import TokenMacs
from walras.models.tokens.offers import Collector, Offers
from walras.models.tokens.relative_prices import Calibrated, PricePolicy, Prices
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.trading import Clear, everybody, token_markets

ROUNDS = 9
NEAR = 0.001


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
    3. Repeat until what is spent is within 0.1 points of the budget; nine times at most.

    Raises:
        InputError: a budget that bids and attention alone exceed.
    """
    share, maps = account.for_sale(budget), network.maps
    relative = policy.fit(network, share)
    prices = relative(maps, offered(network, everybody), share)
    for rounds in range(1, ROUNDS + 1):
        offers = offered(network, PriceRule(prices))
        bought = {path: own.bought / own.offered for path, own in offers.items()}
        spent = account.spent(maps, bought)
        found = Calibration(prices, bought, spent, rounds)
        if abs(spent - budget) <= NEAR:
            break
        prices = relative(maps, offers, share)
    return found


@torch.no_grad()
def offered(network: Calibrated, clear: Clear) -> dict[str, Offers]:
    """The offers of all tokens of the calibration data, in the network that a rule leaves."""
    collector = Collector()
    with token_markets(network.model, network.maps, network.worths, clear, collector):
        for batch in network.batches:
            network.model(**{name: value for name, value in batch.items() if name != "labels"})
    return collector.offers
