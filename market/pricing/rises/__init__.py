"""How the price of a tax comes in while a network is trained: by the clock, by a target, or by what it has moved."""

from walras.market.pricing.rises.by_target import ByTarget
from walras.market.pricing.rises.even_cost import EvenCost
from walras.market.pricing.rises.rise import RISES, Memory, Rise
from walras.market.pricing.rises.timed import Constant, Cosine, Cubic, Linear, Quadratic

for _rise in (Constant, Linear, Quadratic, Cubic, Cosine, ByTarget, EvenCost):
    RISES.add(_rise)

__all__ = [
    "RISES",
    "ByTarget",
    "Constant",
    "Cosine",
    "Cubic",
    "EvenCost",
    "Linear",
    "Memory",
    "Quadratic",
    "Rise",
]
