"""The real transformer: its units, gates on them, what they cost, and slicing them out."""

from walras.models.architectures import ARCHITECTURES as ARCHITECTURES
from walras.models.architectures import Architecture as Architecture
from walras.models.architectures import Projection as Projection
from walras.models.architectures import SubLayer as SubLayer
from walras.models.architectures import architecture as architecture
from walras.models.costs import Macs as Macs
from walras.models.costs import macs as macs
from walras.models.gates import Gates as Gates
from walras.models.gates import attach as attach
from walras.models.gates import gated as gated
from walras.models.inventory import Inventory as Inventory
from walras.models.inventory import Site as Site
from walras.models.inventory import inventory as inventory
from walras.models.slicing import compact as compact
from walras.models.weights import output_weights as output_weights
