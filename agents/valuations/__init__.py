"""What a unit is worth. A new valuation is one file with one class, and one entry in `VALUATIONS`."""

from walras.agents.valuations.block_fisher import BlockFisher
from walras.agents.valuations.calibration import Calibration
from walras.agents.valuations.fisher import Fisher
from walras.agents.valuations.gradient import Gradient
from walras.agents.valuations.interactions import pairwise
from walras.agents.valuations.knowledge import KnowledgeScore
from walras.agents.valuations.leave_one_out import LeaveOneOut
from walras.agents.valuations.magnitude import Magnitude
from walras.agents.valuations.michel import Michel
from walras.agents.valuations.partial_fisher import PartialFisher
from walras.agents.valuations.random import Random
from walras.agents.valuations.shapley import Shapley
from walras.agents.valuations.surrogate import QuadraticSurrogate
from walras.agents.valuations.uniform import Uniform
from walras.agents.valuations.valuation import Valuation

VALUATIONS: dict[str, type[Valuation]] = {
    "block-fisher": BlockFisher,
    "fisher": Fisher,
    "gradient": Gradient,
    "knowledge": KnowledgeScore,
    "leave-one-out": LeaveOneOut,
    "magnitude": Magnitude,
    "michel": Michel,
    "partial-fisher": PartialFisher,
    "quadratic-surrogate": QuadraticSurrogate,
    "random": Random,
    "shapley": Shapley,
    "uniform": Uniform,
}

__all__ = [
    "VALUATIONS",
    "BlockFisher",
    "Calibration",
    "Fisher",
    "Gradient",
    "KnowledgeScore",
    "LeaveOneOut",
    "Magnitude",
    "Michel",
    "PartialFisher",
    "QuadraticSurrogate",
    "Random",
    "Shapley",
    "Uniform",
    "Valuation",
    "pairwise",
]
