"""What a unit is worth. A new valuation is one file with one class, and one entry in `VALUATIONS` (`registry.py`)."""

from walras.agents.valuations.activations.block_influence import BlockInfluence
from walras.agents.valuations.activations.fluctuation import Fluctuation
from walras.agents.valuations.activations.obs_errors import OBSErrors
from walras.agents.valuations.activations.reap import REAP
from walras.agents.valuations.activations.wanda import WandaSP
from walras.agents.valuations.block_fisher import BlockFisher
from walras.agents.valuations.coalitions.layer_loss import LayerLoss
from walras.agents.valuations.coalitions.leave_one_out import LeaveOneOut
from walras.agents.valuations.coalitions.shapley import Shapley
from walras.agents.valuations.coalitions.surrogate import QuadraticSurrogate
from walras.agents.valuations.fisher import Fisher
from walras.agents.valuations.given_values import GivenValues
from walras.agents.valuations.gradient import Gradient
from walras.agents.valuations.knowledge import KnowledgeScore
from walras.agents.valuations.magnitude import Magnitude
from walras.agents.valuations.michel import Michel
from walras.agents.valuations.partial_fisher import PartialFisher
from walras.agents.valuations.random import Random
from walras.agents.valuations.registry import VALUATIONS
from walras.agents.valuations.uniform import Uniform
from walras.agents.valuations.valuation import Valuation

__all__ = [
    "REAP",
    "VALUATIONS",
    "BlockFisher",
    "BlockInfluence",
    "Fisher",
    "Fluctuation",
    "GivenValues",
    "Gradient",
    "KnowledgeScore",
    "LayerLoss",
    "LeaveOneOut",
    "Magnitude",
    "Michel",
    "OBSErrors",
    "PartialFisher",
    "QuadraticSurrogate",
    "Random",
    "Shapley",
    "Uniform",
    "Valuation",
    "WandaSP",
]
