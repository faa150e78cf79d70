"""The rules of the market, one in each file. A new rule is one file with one class, and one entry in `MECHANISMS`."""

from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.rules.ascending_clock import AscendingClock
from walras.mechanisms.rules.competitive_equilibrium import CompetitiveEquilibrium
from walras.mechanisms.rules.kwon_search import KwonSearch
from walras.mechanisms.rules.pay_as_bid_auction import PayAsBidAuction
from walras.mechanisms.rules.posted_price import PostedPrice
from walras.mechanisms.rules.proportional_share import ProportionalShare
from walras.mechanisms.rules.shadow_price import ShadowPrice
from walras.mechanisms.rules.tatonnement import Tatonnement
from walras.mechanisms.rules.uniform_price_auction import UniformPriceAuction
from walras.mechanisms.rules.vcg import VCG
from walras.registry import Registry

MECHANISMS: Registry[Mechanism] = Registry("mechanism", Mechanism)
for _rule in (
    ShadowPrice,
    UniformPriceAuction,
    PayAsBidAuction,
    VCG,
    PostedPrice,
    AscendingClock,
    Tatonnement,
    ProportionalShare,
    CompetitiveEquilibrium,
    KwonSearch,
):
    MECHANISMS.add(_rule)

__all__ = [
    "MECHANISMS",
    "VCG",
    "AscendingClock",
    "CompetitiveEquilibrium",
    "KwonSearch",
    "PayAsBidAuction",
    "PostedPrice",
    "ProportionalShare",
    "ShadowPrice",
    "Tatonnement",
    "UniformPriceAuction",
]
