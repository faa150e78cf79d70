"""How agents bid. A new strategy is one file with one class, and one entry in `STRATEGIES`."""

from walras.agents.strategies.strategy import Knowledge, Strategy
from walras.agents.strategies.truthful import Truthful

STRATEGIES: dict[str, type[Strategy]] = {rule.name: rule for rule in (Truthful,)}

__all__ = ["STRATEGIES", "Knowledge", "Strategy", "Truthful"]
