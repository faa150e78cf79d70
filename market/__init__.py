"""Where agents meet: rounds and their phases, the ledger, the trace, and measures of what a market achieved."""

from walras.market.compute_market import ComputeMarket
from walras.market.economics import Economics, deviation_gain
from walras.market.ledger import Ledger
from walras.market.phases import (
    DEFAULT_PHASES,
    PHASES,
    Phase,
    Probes,
    RepairWeights,
    SublayerSessions,
    SwapRefinement,
    Turn,
)
from walras.market.round import Round
from walras.market.schedule import SCHEDULES, Schedule, budget_path
from walras.market.scope import SCOPES, Scope
from walras.market.session import Session
from walras.market.shocks import SHOCKS, Disable, NewTask, Shock
from walras.market.trace import TraceWriter, read_trace
from walras.market.trace_study import Trace

__all__ = [
    "DEFAULT_PHASES",
    "PHASES",
    "SCHEDULES",
    "SCOPES",
    "SHOCKS",
    "ComputeMarket",
    "Disable",
    "Economics",
    "Ledger",
    "NewTask",
    "Phase",
    "Probes",
    "RepairWeights",
    "Round",
    "Schedule",
    "Scope",
    "Session",
    "Shock",
    "SublayerSessions",
    "SwapRefinement",
    "Trace",
    "TraceWriter",
    "Turn",
    "budget_path",
    "deviation_gain",
    "read_trace",
]
