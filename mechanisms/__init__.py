"""Rules of the market: bids in, a clearing out. Knows no network, no agents, no files.

A new rule is one file with one class, and one entry in `MECHANISMS`.
"""

from walras.mechanisms.bids.budgeted import Budgeted
from walras.mechanisms.bids.entropic import EntropicBids
from walras.mechanisms.bids.gamma_surge import GammaBids
from walras.mechanisms.bids.indivisible import IndivisibleBids
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.bids.logistic import LogisticBids
from walras.mechanisms.bids.quadratic import QuadraticBids
from walras.mechanisms.bids.quadratic_surge import QuadraticSurgeBids
from walras.mechanisms.bids.surge import SurgeBids
from walras.mechanisms.bids.tabulated import TabulatedBids
from walras.mechanisms.bids.triangular import TriangularBids
from walras.mechanisms.bids.tsallis import TsallisBids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.mechanism import Mechanism, charge, load, money
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

MECHANISMS: dict[str, type[Mechanism]] = {
    rule.__name__: rule
    for rule in (
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
    )
}

__all__ = [
    "MECHANISMS",
    "VCG",
    "AscendingClock",
    "Bids",
    "Budgeted",
    "Clearing",
    "CompetitiveEquilibrium",
    "EntropicBids",
    "GammaBids",
    "IndivisibleBids",
    "KwonSearch",
    "LogisticBids",
    "Mechanism",
    "PayAsBidAuction",
    "PostedPrice",
    "ProportionalShare",
    "QuadraticBids",
    "QuadraticSurgeBids",
    "ShadowPrice",
    "Status",
    "SurgeBids",
    "TabulatedBids",
    "Tatonnement",
    "TriangularBids",
    "TsallisBids",
    "UniformPriceAuction",
    "charge",
    "load",
    "money",
]
