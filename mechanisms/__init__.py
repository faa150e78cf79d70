"""Rules of the market: bids in, a clearing out. Knows no network, no agents, no files.

A new rule is one file with one class, and one entry in `MECHANISMS`.
"""

from walras.mechanisms.bids import Bids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.entropic import EntropicBids
from walras.mechanisms.indivisible import IndivisibleBids
from walras.mechanisms.kwon_search import KwonSearch
from walras.mechanisms.mechanism import Mechanism, charge, load, money
from walras.mechanisms.posted_price import PostedPrice
from walras.mechanisms.quadratic import QuadraticBids
from walras.mechanisms.shadow_price import ShadowPrice
from walras.mechanisms.uniform_price_auction import UniformPriceAuction

MECHANISMS: dict[str, type[Mechanism]] = {
    rule.__name__: rule for rule in (ShadowPrice, UniformPriceAuction, PostedPrice, KwonSearch)
}

__all__ = [
    "MECHANISMS",
    "Bids",
    "Clearing",
    "EntropicBids",
    "IndivisibleBids",
    "KwonSearch",
    "Mechanism",
    "PostedPrice",
    "QuadraticBids",
    "ShadowPrice",
    "Status",
    "UniformPriceAuction",
    "charge",
    "load",
    "money",
]
