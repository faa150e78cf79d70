"""How far a market reaches: one for the whole network, or local ones that share no supply."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from walras.models import Inventory
from walras.registry import Registry

Labels = NDArray[np.str_]


class Scope(ABC):
    """Divides the units of a network into markets. Concrete scopes are final frozen dataclasses."""

    name: ClassVar[str]
    local: ClassVar[bool] = True
    """Whether there may be several markets, each with a supply of its own."""

    @abstractmethod
    def markets(self, inventory: Inventory) -> Labels:
        """The name of the market [n] in which each unit trades."""


@final
@dataclass(frozen=True)
class Global(Scope):
    """All units of the network trade in one market, so that compute goes wherever it is worth most."""

    name: ClassVar[str] = "global"
    local: ClassVar[bool] = False

    def markets(self, inventory: Inventory) -> Labels:
        """The same for all."""
        return np.full(len(inventory), self.name)


@final
@dataclass(frozen=True)
class PerLayer(Scope):
    """Every layer has a market of its own, with the same share of what its units use in the dense network."""

    name: ClassVar[str] = "layer"

    def markets(self, inventory: Inventory) -> Labels:
        """`L3` for layer 3."""
        return np.array([f"L{layer}" for layer in inventory.layer])


@final
@dataclass(frozen=True)
class PerSublayer(Scope):
    """Every sub-layer has a market of its own, with the same share of what its units use in the dense network."""

    name: ClassVar[str] = "sublayer"

    def markets(self, inventory: Inventory) -> Labels:
        """`L3.head` for the heads of layer 3."""
        units = zip(inventory.layer, inventory.kind, strict=True)
        return np.array([f"L{layer}.{kind}" for layer, kind in units])


@final
@dataclass(frozen=True)
class PerKind(Scope):
    """Every kind of unit has a market of its own, with the same share of what its units use in the dense network."""

    name: ClassVar[str] = "kind"

    def markets(self, inventory: Inventory) -> Labels:
        """The name of the kind."""
        return np.array(inventory.kind)


GLOBAL: Final = Global.name
SCOPES: Registry[Scope] = Registry("scope", Scope)
for _scope in (Global, PerLayer, PerSublayer, PerKind):
    SCOPES.add(_scope)
