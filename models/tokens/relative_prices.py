"""Prices of maps relative to each other: given what is offered in every map, which prices sell a share of all."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from walras.errors import InputError
from walras.models.tokens.offers import Offers
from walras.models.tokens.token_map import TokenMap
from walras.registry import Registry

_STEPS = 60  # of the bisection: far below a bin of `Offers`

Prices = dict[str, float]
"""By path of the map, per multiplication."""


class RelativePrices(ABC):
    """One price per map at which a share of the multiplications of all maps together is sold."""

    about: ClassVar[str] = ""

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

    about: ClassVar[str] = "the same share of every map"

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """Quantiles of the values."""
        return {m.path: offers[m.path].price_for(share) for m in maps}


@final
@dataclass(frozen=True)
class Mixture(RelativePrices):
    """Prices p_m = p * q_m^exponent, q_m being those of equal shares; p sells the share of all maps together.

    Attributes:
        exponent: 0 is one price for the whole network, 1 equal shares at the calibration's own share.
    """

    exponent: float = 0.5
    about: ClassVar[str] = "between one price and equal shares"

    def __post_init__(self) -> None:
        if not 0 <= self.exponent <= 1:
            raise InputError(f"exponent is {self.exponent}; it must be a number from 0 to 1")

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """By bisection in the logarithm of p."""
        if share >= 1:
            return {m.path: 0.0 for m in maps}
        rates = {m.path: max(offers[m.path].price_for(share), 1e-38) ** self.exponent for m in maps}
        return at_share(maps, offers, rates, share)


@final
@dataclass(frozen=True)
class OnePrice(RelativePrices):
    """One price for the whole network: a multiplication goes where it is worth most."""

    about: ClassVar[str] = "one price for the whole network"

    def __call__(self, maps: Sequence[TokenMap], offers: Mapping[str, Offers], share: float) -> Prices:
        """A mixture of exponent 0."""
        return Mixture(0.0)(maps, offers, share)


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


RELATIVE_PRICES: Registry[RelativePrices] = Registry("relative prices", RelativePrices, group="walras.relative_prices")
"""Prices of maps relative to each other, by name."""
RELATIVE_PRICES.add(EqualShares, "equal-shares")
RELATIVE_PRICES.add(Mixture, "mixture")
RELATIVE_PRICES.add(OnePrice, "one-price")
