"""The real transformer: its units, gates on them, what they cost, and slicing them out."""

from walras.models.architectures import architecture as architecture
from walras.models.export.slicing import compact as compact
from walras.models.families import ARCHITECTURES as ARCHITECTURES
from walras.models.families import Architecture as Architecture
from walras.models.families import Projection as Projection
from walras.models.families import SubLayer as SubLayer
from walras.models.resources.macs import Macs as Macs
from walras.models.resources.macs import macs as macs
from walras.models.resources.resource import Resource as Resource
from walras.models.resources.resource import Usage as Usage
from walras.models.resources.resource import Workload as Workload
from walras.models.resources.table import RESOURCES as RESOURCES
from walras.models.units.gates import Gates as Gates
from walras.models.units.gates import attach as attach
from walras.models.units.gates import gated as gated
from walras.models.units.inventory import Inventory as Inventory
from walras.models.units.inventory import inventory as inventory
from walras.models.units.kinds.kind import UnitKind as UnitKind
from walras.models.units.kinds.table import UNIT_KINDS as UNIT_KINDS
from walras.models.units.site import Site as Site
from walras.models.units.weights import output_weights as output_weights
