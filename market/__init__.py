"""The floor where agents meet: rounds, ledger, trace, and measures of what a market achieved."""

from walras.market.compute_market import ComputeMarket, Round
from walras.market.economics import Economics, deviation_gain
from walras.market.ledger import Ledger
from walras.market.measures import welfare
from walras.market.schedule import SCHEDULES, Session, budget_path
from walras.market.shocks import Disable, NewTask, Shock
from walras.market.trace import TraceWriter, read_trace
from walras.market.trace_study import Trace

__all__ = [
    "SCHEDULES",
    "ComputeMarket",
    "Disable",
    "Economics",
    "Ledger",
    "NewTask",
    "Round",
    "Session",
    "Shock",
    "Trace",
    "TraceWriter",
    "budget_path",
    "deviation_gain",
    "read_trace",
    "welfare",
]
