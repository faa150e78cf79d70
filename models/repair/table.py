"""All repairs by name. A new one is one file with one class, and one entry here."""

from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.means import Means
from walras.models.repair.repair import Repair
from walras.models.repair.scales import Scales
from walras.models.repair.structured_obs import StructuredOBSUpdate
from walras.registry import Registry

REPAIRS: Registry[Repair] = Registry("repair", Repair)
REPAIRS.add(LeastSquares, "least_squares")
REPAIRS.add(Means, "means")
REPAIRS.add(Scales, "scales")
REPAIRS.add(StructuredOBSUpdate, "structured_obs")

__all__ = ["REPAIRS", "LeastSquares", "Means", "Repair", "Scales", "StructuredOBSUpdate"]
