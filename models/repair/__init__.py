"""What becomes of the weights of the units that stay."""

from walras.models.repair.repair import Repair as Repair
from walras.models.repair.table import REPAIRS as REPAIRS
