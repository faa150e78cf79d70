"""All repairs by name. A new one is one file with one class, and one entry here."""

from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.repair import Repair
from walras.models.repair.scales import Scales

REPAIRS: dict[str, type[Repair]] = {"least_squares": LeastSquares, "scales": Scales}

__all__ = ["REPAIRS", "LeastSquares", "Repair", "Scales"]
