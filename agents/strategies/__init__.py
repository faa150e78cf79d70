"""How agents bid. A new strategy is one file with one class, and one entry in `STRATEGIES` (`registry.py`)."""

from walras.agents.strategies.best_response import BestResponse
from walras.agents.strategies.budget_limited import BudgetLimited
from walras.agents.strategies.exp3 import EXP3
from walras.agents.strategies.hedge import Hedge
from walras.agents.strategies.mixture import Mixture
from walras.agents.strategies.registry import STRATEGIES
from walras.agents.strategies.regret_matching import RegretMatching
from walras.agents.strategies.shading import Shading
from walras.agents.strategies.strategy import BidderInfo, RoundOutcome, Strategy
from walras.agents.strategies.truthful import Truthful
from walras.agents.strategies.zero_intelligence import ZeroIntelligence

__all__ = [
    "EXP3",
    "STRATEGIES",
    "BestResponse",
    "BidderInfo",
    "BudgetLimited",
    "Hedge",
    "Mixture",
    "RegretMatching",
    "RoundOutcome",
    "Shading",
    "Strategy",
    "Truthful",
    "ZeroIntelligence",
]
