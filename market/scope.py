"""How far a market reaches: one for the whole network, or local ones that share no supply."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from walras.models import Inventory

Labels = NDArray[np.str_]

GLOBAL: Final = "global"
SCOPES: Mapping[str, Callable[[Inventory], Labels]] = {
    GLOBAL: lambda units: np.full(len(units), GLOBAL),
    "layer": lambda units: np.array([f"L{layer}" for layer in units.layer]),
    "sublayer": lambda units: np.array(
        [f"L{layer}.{kind}" for layer, kind in zip(units.layer, units.kind, strict=True)]
    ),
    "kind": lambda units: np.array(units.kind),
}
"""The name of the market [n] in which each unit trades."""
