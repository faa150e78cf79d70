"""The market of reasoning queries: token budgets by the rules that clear heads, beside boring ones.

A new allocator is one file with one class, and one entry in `ALLOCATORS`.
"""

from walras.market.queries.allocation import Allocation, Regime
from walras.market.queries.allocator import Allocator
from walras.market.queries.exact import Exact
from walras.market.queries.markets import Clear, Clock, PlainClear, Posted
from walras.market.queries.online import Grant, OnlineClear
from walras.market.queries.oracle import Oracle
from walras.market.queries.proportional import Proportional
from walras.market.queries.queries import SHAPES, Queries
from walras.market.queries.shortest_first import ShortestFirst
from walras.market.queries.uniform import Uniform

ALLOCATORS: dict[str, type[Allocator]] = {
    rule.name: rule for rule in (Clear, PlainClear, Exact, Posted, Clock, ShortestFirst, Proportional, Uniform, Oracle)
}

__all__ = [
    "ALLOCATORS",
    "SHAPES",
    "Allocation",
    "Allocator",
    "Clear",
    "Clock",
    "Exact",
    "Grant",
    "OnlineClear",
    "Oracle",
    "PlainClear",
    "Posted",
    "Proportional",
    "Queries",
    "Regime",
    "ShortestFirst",
    "Uniform",
]
