"""All kinds of unit by name. A new one is one file with one class, and one entry here."""

from walras.models.units.kinds.block import Block
from walras.models.units.kinds.expert import Experts
from walras.models.units.kinds.ffn import FFN
from walras.models.units.kinds.heads import Heads
from walras.models.units.kinds.kind import UnitKind
from walras.registry import Registry

UNIT_KINDS: Registry[UnitKind] = Registry("unit kind", UnitKind, texts=("name",))
for _kind in (Heads, FFN, Experts, Block):  # in the order of units within a layer
    UNIT_KINDS.add(_kind)


def finest_kinds(block: int = 32) -> tuple[UnitKind, ...]:
    """The kinds whose sites cover every sub-layer of a network, with FFN blocks of `block` neurons."""
    return tuple(UNIT_KINDS.make(name, neurons=block) for name in UNIT_KINDS if UNIT_KINDS[name].finest)
