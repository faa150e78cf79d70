"""How agents bid. A new strategy is one file with one class, and one entry in `STRATEGIES`."""

from walras.agents.strategies.best_response import BestResponse
from walras.agents.strategies.budget_limited import BudgetLimited
from walras.agents.strategies.exp3 import EXP3
from walras.agents.strategies.hedge import Hedge
from walras.agents.strategies.mixture import Mixture
from walras.agents.strategies.regret_matching import RegretMatching
from walras.agents.strategies.shading import Shading
from walras.agents.strategies.strategy import BidderInfo, Outcome, Strategy
from walras.agents.strategies.truthful import Truthful
from walras.agents.strategies.zero_intelligence import ZeroIntelligence

STRATEGIES: dict[str, type[Strategy]] = {
    rule.name: rule
    for rule in (Truthful, Shading, ZeroIntelligence, BudgetLimited, BestResponse, Hedge, EXP3, RegretMatching)
}

__all__ = [
    "EXP3",
    "STRATEGIES",
    "BestResponse",
    "BidderInfo",
    "BudgetLimited",
    "Hedge",
    "Mixture",
    "Outcome",
    "RegretMatching",
    "Shading",
    "Strategy",
    "Truthful",
    "ZeroIntelligence",
]
