"""Designs of markets inside a token, ours and published ones, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import nn

from walras.models.tokens.calibrate import Calibration
from walras.models.tokens.greedy import Greedy
from walras.models.tokens.offers import Offers
from walras.models.tokens.relative_prices import EqualShares, Mixture, OnePrice, PricePolicy, Prices, RelativePrices
from walras.models.tokens.rules import BatchRule, PriceRule, RandomRule, SameCountRule, TokenRule
from walras.models.tokens.token_map import TokenMap, token_maps
from walras.models.tokens.worths import ColumnNorm, FisherWorth, Magnitude, TokenValuation

_TINY = 2.0**-126  # whatever is not 0 is worth more


@final
@dataclass(frozen=True)
class GatedShares(RelativePrices):
    """CATS (arXiv 2404.08763): the same share of every layer's neurons passes; of `down` whatever is not 0."""

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """A quantile of |act(gate)| in every layer."""
        return {m.path: offers[m.path].price_for(share) if m.signal else _TINY for m in maps}


@final
@dataclass(frozen=True)
class Design:
    """What bids, how it is valued, how prices stand to each other, and by which rule it clears.

    Attributes:
        valuation: of the bidders.
        policy: prices of maps.
        rule: `price` (posted prices), `same-count` (as many winners in every token, at the shares that the prices
            sold), `batch` (a shadow price for all tokens of a batch, at these shares), `lot` (as many winners in every
            token, drawn by lot).
        maps: `neurons` (features, and neurons after the gate), `features` (features alone), `gated` (neurons after the
            gate alone, which save rows of up and columns of down).
    """

    valuation: TokenValuation
    policy: PricePolicy
    rule: str = "price"
    maps: str = "neurons"

    def traded(self, model: nn.Module) -> tuple[TokenMap, ...]:
        """The maps."""
        found = token_maps(model)
        if self.maps == "features":
            return tuple(replace(m, signal="") for m in found)
        if self.maps == "gated":
            gated = {m.layer for m in found if m.signal}
            return tuple(m for m in found if m.signal or (m.name == "down" and m.layer in gated))
        return found

    def clear(self, maps: Sequence[TokenMap], calibration: Calibration, seed: int) -> TokenRule:
        """Who buys, at prices that were found."""
        bought = calibration.bought
        if self.rule == "same-count":
            return SameCountRule(bought)
        if self.rule == "batch":
            return BatchRule(bought)
        if self.rule == "lot":
            counts = {m.path: torch.tensor(round(bought[m.path] * m.bidders)) for m in maps}
            return RandomRule(counts, torch.Generator().manual_seed(seed))
        return PriceRule(calibration.prices)


DESIGNS: Mapping[str, Design] = {
    "mixture": Design(FisherWorth(), Mixture()),
    "one price": Design(FisherWorth(), OnePrice()),
    "equal shares": Design(FisherWorth(), EqualShares()),
    "greedy": Design(FisherWorth(), Greedy()),
    "mixture, features": Design(FisherWorth(), Mixture(), maps="features"),
    "mixture, same count": Design(FisherWorth(), Mixture(), "same-count"),
    "mixture, batch": Design(FisherWorth(), Mixture(), "batch"),
    "norms, one price": Design(ColumnNorm(), OnePrice()),
    "norms, equal shares": Design(ColumnNorm(), EqualShares()),
    "norms, greedy": Design(ColumnNorm(), Greedy()),
    "TEAL, equal": Design(Magnitude(), EqualShares(), maps="features"),
    "TEAL, greedy": Design(Magnitude(), Greedy(), maps="features"),
    "CATS": Design(Magnitude(), GatedShares(), maps="gated"),
    "by lot": Design(FisherWorth(), Mixture(), "lot"),
}
"""By name; the first is what `walras sparsify` does."""
