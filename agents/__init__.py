"""Who trades: Mesa agents, how they bid, and what their units are worth to the network."""

from walras.agents.strategies import STRATEGIES, Knowledge, Strategy, Truthful
from walras.agents.unit import AGENTS, FFNBlockAgent, HeadAgent, UnitAgent
from walras.agents.valuations import VALUATIONS, Calibration, Fisher, Gradient, Magnitude, Random, Valuation

__all__ = [
    "AGENTS",
    "STRATEGIES",
    "VALUATIONS",
    "Calibration",
    "FFNBlockAgent",
    "Fisher",
    "Gradient",
    "HeadAgent",
    "Knowledge",
    "Magnitude",
    "Random",
    "Strategy",
    "Truthful",
    "UnitAgent",
    "Valuation",
]
