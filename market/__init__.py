"""Where agents meet: rounds and their phases, the ledger, the trace, and measures of what a market achieved.

Names are loaded when they are first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket
    from walras.market.economics import Economics, deviation_gain
    from walras.market.ledger import Ledger
    from walras.market.phases import (
        DEFAULT_PHASES,
        PHASES,
        BilateralTrade,
        EvoPress,
        LayerByLayer,
        Menus,
        Osscar,
        Phase,
        Probes,
        RefitLastNorm,
        RepairWeights,
        Spdy,
        SublayerSessions,
        SwapRefinement,
        Turn,
    )
    from walras.market.round import Round
    from walras.market.rounds_table import read_rounds
    from walras.market.schedule import SCHEDULES, Schedule, budget_path
    from walras.market.scope import SCOPES, Scope
    from walras.market.session import Session
    from walras.market.shocks import SHOCKS, Disable, NewTask, Shock
    from walras.market.trace import TraceHistory, TraceWriter, read_trace
    from walras.market.trace_study import Trace

__all__ = [
    "DEFAULT_PHASES",
    "PHASES",
    "SCHEDULES",
    "SCOPES",
    "SHOCKS",
    "BilateralTrade",
    "ComputeMarket",
    "Disable",
    "Economics",
    "EvoPress",
    "LayerByLayer",
    "Ledger",
    "Menus",
    "NewTask",
    "Osscar",
    "Phase",
    "Probes",
    "RefitLastNorm",
    "RepairWeights",
    "Round",
    "Schedule",
    "Scope",
    "Session",
    "Shock",
    "Spdy",
    "SublayerSessions",
    "SwapRefinement",
    "Trace",
    "TraceHistory",
    "TraceWriter",
    "Turn",
    "budget_path",
    "deviation_gain",
    "read_rounds",
    "read_trace",
]

_HOMES = {
    "DEFAULT_PHASES": "walras.market.phases",
    "PHASES": "walras.market.phases",
    "SCHEDULES": "walras.market.schedule",
    "SCOPES": "walras.market.scope",
    "SHOCKS": "walras.market.shocks",
    "BilateralTrade": "walras.market.phases",
    "ComputeMarket": "walras.market.compute_market",
    "Disable": "walras.market.shocks",
    "Economics": "walras.market.economics",
    "EvoPress": "walras.market.phases",
    "LayerByLayer": "walras.market.phases",
    "Ledger": "walras.market.ledger",
    "Menus": "walras.market.phases",
    "NewTask": "walras.market.shocks",
    "Osscar": "walras.market.phases",
    "Phase": "walras.market.phases",
    "Probes": "walras.market.phases",
    "RefitLastNorm": "walras.market.phases",
    "RepairWeights": "walras.market.phases",
    "Round": "walras.market.round",
    "Schedule": "walras.market.schedule",
    "Scope": "walras.market.scope",
    "Session": "walras.market.session",
    "Shock": "walras.market.shocks",
    "Spdy": "walras.market.phases",
    "SublayerSessions": "walras.market.phases",
    "SwapRefinement": "walras.market.phases",
    "Trace": "walras.market.trace_study",
    "TraceHistory": "walras.market.trace",
    "TraceWriter": "walras.market.trace",
    "Turn": "walras.market.phases",
    "budget_path": "walras.market.schedule",
    "deviation_gain": "walras.market.economics",
    "read_rounds": "walras.market.rounds_table",
    "read_trace": "walras.market.trace",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
