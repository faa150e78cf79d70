"""What units use up: multiply-accumulates, parameters, bytes, milliseconds."""

from walras.models.resources.resource import Resource as Resource
from walras.models.resources.resource import Usage as Usage
from walras.models.resources.resource import Workload as Workload
from walras.models.resources.table import RESOURCES as RESOURCES
