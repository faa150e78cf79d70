"""The phases of a round: the default ones, in their order, and extra ones that recipes add."""

from walras.market.phases.bid import Bid
from walras.market.phases.clear import Clear
from walras.market.phases.layer_by_layer import LayerByLayer
from walras.market.phases.levels.evopress import EvoPress
from walras.market.phases.levels.menus import Menus
from walras.market.phases.levels.osscar import Osscar
from walras.market.phases.levels.spdy import Spdy
from walras.market.phases.levels.trade import BilateralTrade
from walras.market.phases.open import Open
from walras.market.phases.order import in_order
from walras.market.phases.phase import Phase, Turn
from walras.market.phases.probes import Probes
from walras.market.phases.refit_last_norm import RefitLastNorm
from walras.market.phases.repair_weights import RepairWeights
from walras.market.phases.settle import Settle
from walras.market.phases.sublayer_sessions import SublayerSessions
from walras.market.phases.swap_refinement import SwapRefinement
from walras.market.phases.value import Value
from walras.registry import Registry

DEFAULT_PHASES: tuple[Phase, ...] = (Open(), Value(), Bid(), Clear(), Settle())

PHASES: Registry[Phase] = Registry("phase", Phase)
for _phase in DEFAULT_PHASES:
    PHASES.add(type(_phase))
PHASES.add(SublayerSessions, "sublayer-sessions")
PHASES.add(SwapRefinement, "swap-refinement")
PHASES.add(LayerByLayer, "layer-by-layer")
PHASES.add(Osscar, "osscar")
PHASES.add(Spdy, "spdy")
PHASES.add(EvoPress, "evopress")
PHASES.add(Menus, "menus")
PHASES.add(BilateralTrade, "trade")
PHASES.add(Probes, "probes")
PHASES.add(RepairWeights, "repair")
PHASES.add(RefitLastNorm, "last-norm")

__all__ = [
    "DEFAULT_PHASES",
    "PHASES",
    "Bid",
    "BilateralTrade",
    "Clear",
    "EvoPress",
    "LayerByLayer",
    "Menus",
    "Open",
    "Osscar",
    "Phase",
    "Probes",
    "RefitLastNorm",
    "RepairWeights",
    "Settle",
    "Spdy",
    "SublayerSessions",
    "SwapRefinement",
    "Turn",
    "Value",
    "in_order",
]
