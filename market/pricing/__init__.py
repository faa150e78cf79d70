"""Prices of compute inside training: a tax, the shadow price of a budget, or a market that clears now and then."""

from walras.market.pricing.cleared import Cleared
from walras.market.pricing.dual_ascent import DualAscent
from walras.market.pricing.pricing import PRICINGS, Pricing
from walras.market.pricing.rises import RISES, Rise
from walras.market.pricing.shadow import ShadowPricing
from walras.market.pricing.tax import Tax

PRICINGS.add(ShadowPricing, "shadow-price")
PRICINGS.add(DualAscent, "dual-ascent")
PRICINGS.add(Tax, "tax")
PRICINGS.add(Cleared, "cleared")

__all__ = ["PRICINGS", "RISES", "Cleared", "DualAscent", "Pricing", "Rise", "ShadowPricing", "Tax"]
