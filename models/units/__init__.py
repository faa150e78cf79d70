"""What can be traded in a transformer, and gates on it."""

from walras.models.units.inventory import Inventory as Inventory
from walras.models.units.inventory import inventory as inventory
from walras.models.units.kinds.kind import UnitKind as UnitKind
from walras.models.units.kinds.table import UNIT_KINDS as UNIT_KINDS
