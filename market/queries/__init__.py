"""The market of reasoning queries: token budgets by the rules that clear heads, beside simple baselines.

A new allocator is one file with one class, and one entry in `ALLOCATORS`. `Oracle` is no entry: it needs to know what
every query truly needs, which only an evaluation does.
"""

from walras.market.queries.allocation import Allocation, Regime
from walras.market.queries.allocator import Allocator
from walras.market.queries.exact import Exact
from walras.market.queries.markets import Clear, Clock, PlainClear, Posted
from walras.market.queries.online import (
    ONLINE_POLICIES,
    CountWindows,
    Grant,
    OnlineMarket,
    OnlinePolicy,
    Settlement,
    TimeWindows,
    Windows,
)
from walras.market.queries.oracle import Oracle
from walras.market.queries.proportional import Proportional
from walras.market.queries.queries import SHAPES, Queries
from walras.market.queries.shortest_first import ShortestFirst
from walras.market.queries.uniform import Uniform
from walras.registry import Registry

ALLOCATORS: Registry[Allocator] = Registry("allocator", Allocator, texts=("name",))
for _allocator in (Clear, PlainClear, Exact, Posted, Clock, ShortestFirst, Proportional, Uniform):
    ALLOCATORS.add(_allocator)

__all__ = [
    "ALLOCATORS",
    "ONLINE_POLICIES",
    "SHAPES",
    "Allocation",
    "Allocator",
    "Clear",
    "Clock",
    "CountWindows",
    "Exact",
    "Grant",
    "OnlineMarket",
    "OnlinePolicy",
    "Oracle",
    "PlainClear",
    "Posted",
    "Proportional",
    "Queries",
    "Regime",
    "Settlement",
    "ShortestFirst",
    "TimeWindows",
    "Uniform",
    "Windows",
]
