"""Rules of the market: bids in, a clearing out. Knows no network, no agents, no files.

A new rule is one file with one class, and one entry in `MECHANISMS`; bids are any object with the methods of `Bids`.
"""

from walras.mechanisms.bids.budgeted import Budgeted
from walras.mechanisms.bids.entropic import EntropicBids
from walras.mechanisms.bids.gamma_surge import GammaBids
from walras.mechanisms.bids.indivisible import IndivisibleBids
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.bids.logistic import LogisticBids
from walras.mechanisms.bids.menu import MenuBids
from walras.mechanisms.bids.quadratic import QuadraticBids
from walras.mechanisms.bids.quadratic_surge import QuadraticSurgeBids
from walras.mechanisms.bids.surge import SurgeBids
from walras.mechanisms.bids.triangular import TriangularBids
from walras.mechanisms.bids.tsallis import TsallisBids
from walras.mechanisms.clearing import Clearing, Status
from walras.mechanisms.costs import charge, resource_use
from walras.mechanisms.mechanism import Mechanism, money
from walras.mechanisms.rules import (
    MECHANISMS,
    VCG,
    AscendingClock,
    CompetitiveEquilibrium,
    KwonSearch,
    PayAsBidAuction,
    PostedPrice,
    ProportionalShare,
    ShadowPrice,
    Tatonnement,
    UniformPriceAuction,
)

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
    "MenuBids",
    "PayAsBidAuction",
    "PostedPrice",
    "ProportionalShare",
    "QuadraticBids",
    "QuadraticSurgeBids",
    "ShadowPrice",
    "Status",
    "SurgeBids",
    "Tatonnement",
    "TriangularBids",
    "TsallisBids",
    "UniformPriceAuction",
    "charge",
    "money",
    "resource_use",
]
