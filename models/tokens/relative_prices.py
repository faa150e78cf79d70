"""Prices of maps relative to each other: given what is offered in every map, which prices sell a share of all."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from walras.errors import InputError
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.offers import Offers
from walras.models.tokens.token_map import TokenMap

_STEPS = 60  # of the bisection: far below a bin of `Offers`
_LEAST = 1e-38  # a price that can be divided by

Prices = dict[str, float]
"""By path of the map, per multiplication."""


class PricePolicy(ABC):
    """How prices of maps stand to each other, once it has looked at a network."""

    @abstractmethod
    def fit(self, network: Calibrated, share: float) -> "RelativePrices":
        """The prices of this network for a share of all maps' multiplications, above 0 and at most 1."""


class RelativePrices(PricePolicy):
    """One price per map at which a share of the multiplications of all maps together is sold."""

    def fit(self, network: Calibrated, share: float) -> "RelativePrices":
        """There is nothing to look at but offers."""
        return self

    @abstractmethod
    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """The prices.

        Args:
            maps: those that are traded.
            offers: of every map, by its path.
            share: of all maps' multiplications, above 0 and at most 1.
        """


@final
@dataclass(frozen=True)
class EqualShares(RelativePrices):
    """The same share of every map is sold."""

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """Quantiles of the values."""
        return {m.path: offers[m.path].price_for(share) for m in maps}


@final
@dataclass(frozen=True)
class Mixture(PricePolicy):
    """Prices p_m = p * q_m^exponent, q_m being those that sell equal shares of the dense network's maps.

    Only p is found anew as the network becomes sparse: what maps sell moves with their own offers.

    Attributes:
        exponent: 0 is one price for the whole network, 1 equal shares of what the dense network offers.
    """

    exponent: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.exponent <= 1:
            raise InputError(f"exponent is {self.exponent}; it must be a number from 0 to 1")

    def fit(self, network: Calibrated, share: float) -> "ExchangeRates":
        """Rates 1 / q_m^exponent."""
        prices = EqualShares()(network.maps, network.dense_offers, share)
        return ExchangeRates({path: max(price, _LEAST) ** -self.exponent for path, price in prices.items()})


@final
@dataclass(frozen=True)
class OnePrice(RelativePrices):
    """One price for the whole network: a multiplication goes where it is worth most."""

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """All rates of exchange are 1."""
        return ExchangeRates({m.path: 1.0 for m in maps})(maps, offers, share)


@final
@dataclass(frozen=True)
class GivenShares(RelativePrices):
    """Shares that are known: each map sells its own.

    Attributes:
        shares: of each map's bidders, by its path.
    """

    shares: Mapping[str, float]

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """Quantiles of the values."""
        return {m.path: offers[m.path].price_for(self.shares[m.path]) for m in maps}


@final
@dataclass(frozen=True)
class ExchangeRates(RelativePrices):
    """One price for the whole network, in a currency of its own in each map.

    Attributes:
        rates: what one unit of a map's bids is worth, by its path.
    """

    rates: Mapping[str, float]

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """p_m = p / rate_m."""
        if share >= 1:
            return {m.path: 0.0 for m in maps}
        return at_share(maps, offers, {path: 1.0 / rate for path, rate in self.rates.items()}, share)


def at_share(
    maps: Sequence[TokenMap], offers: Mapping[str, Offers], rates: Mapping[str, float], share: float
) -> Prices:
    """Prices p * rate, p being such that a share of the multiplications of all maps is sold."""
    whole = sum(m.bidders * m.cost for m in maps)

    def sold(log: float) -> float:
        bought = (offers[m.path].share_at(2.0**log * rates[m.path]) * m.bidders * m.cost for m in maps)
        return sum(bought) / whole

    low, high = -200.0, 200.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if sold(middle) >= share else (low, middle)
    return {m.path: 2.0**low * rates[m.path] for m in maps}
