"""Whole sub-layers as units."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, final

from walras.models.architectures import Layer
from walras.models.units.kinds.coarser_kind import CoarserKind
from walras.models.units.kinds.expert import Experts
from walras.models.units.kinds.ffn import FFN
from walras.models.units.kinds.heads import Heads
from walras.models.units.kinds.kind import UnitKind
from walras.models.units.site import Site

_FINER: dict[str, tuple[UnitKind, str]] = {
    "heads": (Heads(), "attention"),
    "ffn": (FFN(1), "ffn"),
    "mixture": (Experts(), "experts"),
}
"""By sub-layer: the units that it consists of, and its name as a unit."""


@final
@dataclass(frozen=True)
class Block(CoarserKind):
    """A whole sub-layer, which keeps all its heads, FFN neurons or experts, or loses them all.

    In a network it is called `L3.attention`, `L3.ffn` or, for the experts of a mixture, `L3.experts`. Without it, the
    residual stream passes by; the bias of its output projection stays.
    """

    name: ClassVar[str] = "block"

    def sites(self, layer: Layer) -> Iterable[Site]:
        """One per sub-layer that has units left."""
        for index, (kind, _) in enumerate(_FINER.values()):
            for fine in kind.sites(layer):
                yield self.grouped(fine, len(fine), first=index)

    def unit_name(self, site: Site, index: int) -> str:
        """Name of the sub-layer."""
        del index
        return _FINER[site.sublayer][1]

    def finer(self, site: Site) -> UnitKind:
        """Heads, FFN neurons or experts."""
        return _FINER[site.sublayer][0]
