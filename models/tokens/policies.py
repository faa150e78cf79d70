"""Ways to set the prices of maps relative to each other, by name."""

from walras.models.tokens.greedy import Greedy
from walras.models.tokens.relative_prices import EqualShares, Mixture, OnePrice, PricePolicy
from walras.registry import Registry

PRICE_POLICIES: Registry[PricePolicy] = Registry("price policy", PricePolicy, group="walras.price_policies")
PRICE_POLICIES.add(EqualShares, "equal-shares")
PRICE_POLICIES.add(Mixture, "mixture")
PRICE_POLICIES.add(OnePrice, "one-price")
PRICE_POLICIES.add(Greedy, "greedy")
