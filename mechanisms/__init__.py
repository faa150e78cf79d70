"""Rules of the market: bids in, a clearing out. Knows no network, no agents, no files.

A new rule is one file with one class, and one entry in `MECHANISMS`.
"""

from walras.mechanisms.ascending_clock import AscendingClock
from walras.mechanisms.bids import Bids
from walras.mechanisms.budgeted import Budgeted
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.competitive_equilibrium import CompetitiveEquilibrium
from walras.mechanisms.entropic import EntropicBids
from walras.mechanisms.gamma_surge import GammaBids
from walras.mechanisms.indivisible import IndivisibleBids
from walras.mechanisms.kwon_search import KwonSearch
from walras.mechanisms.logistic import LogisticBids
from walras.mechanisms.mechanism import Mechanism, charge, load, money
from walras.mechanisms.pay_as_bid_auction import PayAsBidAuction
from walras.mechanisms.posted_price import PostedPrice
from walras.mechanisms.proportional_share import ProportionalShare
from walras.mechanisms.quadratic import QuadraticBids
from walras.mechanisms.quadratic_surge import QuadraticSurgeBids
from walras.mechanisms.shadow_price import ShadowPrice
from walras.mechanisms.surge import SurgeBids
from walras.mechanisms.tabulated import TabulatedBids
from walras.mechanisms.tatonnement import Tatonnement
from walras.mechanisms.triangular import TriangularBids
from walras.mechanisms.tsallis import TsallisBids
from walras.mechanisms.uniform_price_auction import UniformPriceAuction
from walras.mechanisms.vcg import VCG

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
