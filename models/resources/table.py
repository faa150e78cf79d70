"""All resources by name. A new one is one file with one class, and one entry here."""

from walras.models.resources.latency import Latency
from walras.models.resources.macs import Macs
from walras.models.resources.parameters import Bytes, Parameters
from walras.models.resources.resource import Resource
from walras.registry import Registry

RESOURCES: Registry[Resource] = Registry("resource", Resource, texts=("name", "unit"))
for _resource in (Macs, Parameters, Bytes, Latency):
    RESOURCES.add(_resource)
