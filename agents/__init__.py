"""Who trades: Mesa agents, how they bid, and what their units are worth to the network."""

from walras.agents.strategies import STRATEGIES, Knowledge, Strategy, Truthful
from walras.agents.unit import AGENTS, FFNBlockAgent, HeadAgent, UnitAgent
from walras.agents.valuations import (
    VALUATIONS,
    BlockFisher,
    Calibration,
    Fisher,
    Gradient,
    KPrune,
    Magnitude,
    Michel,
    PartialFisher,
    Random,
    Uniform,
    Valuation,
)

__all__ = [
    "AGENTS",
    "STRATEGIES",
    "VALUATIONS",
    "BlockFisher",
    "Calibration",
    "FFNBlockAgent",
    "Fisher",
    "Gradient",
    "HeadAgent",
    "KPrune",
    "Knowledge",
    "Magnitude",
    "Michel",
    "PartialFisher",
    "Random",
    "Strategy",
    "Truthful",
    "Uniform",
    "UnitAgent",
    "Valuation",
]
