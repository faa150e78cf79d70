"""The real transformer: its units, gates on them, what they cost, and slicing them out."""

from walras.models.architectures import ARCHITECTURES as ARCHITECTURES
from walras.models.architectures import Architecture as Architecture
from walras.models.architectures import Projection as Projection
from walras.models.architectures import SubLayer as SubLayer
from walras.models.architectures import architecture as architecture
from walras.models.export.slicing import compact as compact
from walras.models.resources.macs import Macs as Macs
from walras.models.resources.macs import macs as macs
from walras.models.units.gates import Gates as Gates
from walras.models.units.gates import attach as attach
from walras.models.units.gates import gated as gated
from walras.models.units.inventory import Inventory as Inventory
from walras.models.units.inventory import Site as Site
from walras.models.units.inventory import inventory as inventory
from walras.models.units.weights import output_weights as output_weights
