"""Levels of a sub-layer: how many of its units stay, what they cost, and the weights of the output projection then."""

from walras.models.levels.network import NetworkLevels as NetworkLevels
from walras.models.levels.sublayer import SublayerLevels as SublayerLevels
from walras.models.levels.sublayer import equal_steps as equal_steps
from walras.models.surgeon.structured_obs import StructuredOBS as StructuredOBS
