"""Queries that come one at a time: a market with a budget per window, and the policies by which it grants.

A new policy is one file with one class, and one entry in `ONLINE_POLICIES`.
"""

from walras.market.queries.online.clear import ClearPolicy
from walras.market.queries.online.grants import Grant, Settlement
from walras.market.queries.online.market import OnlineMarket
from walras.market.queries.online.multiplier_search import MultiplierSearchPolicy
from walras.market.queries.online.policy import OnlinePolicy, Seen
from walras.market.queries.online.proportional import ProportionalPolicy
from walras.market.queries.online.shortest_first import ShortestFirstPolicy
from walras.market.queries.online.uniform import FixedCapPolicy, UniformPolicy, UnlimitedPolicy
from walras.market.queries.online.windows import CountWindows, TimeWindows, Windows
from walras.registry import Registry

ONLINE_POLICIES: Registry[OnlinePolicy] = Registry("online policy", OnlinePolicy, texts=("name",))
for _policy in (
    ClearPolicy, UniformPolicy, FixedCapPolicy, ProportionalPolicy, ShortestFirstPolicy, MultiplierSearchPolicy,
    UnlimitedPolicy,
):  # fmt: skip
    ONLINE_POLICIES.add(_policy)

__all__ = [
    "ONLINE_POLICIES",
    "ClearPolicy",
    "CountWindows",
    "FixedCapPolicy",
    "Grant",
    "MultiplierSearchPolicy",
    "OnlineMarket",
    "OnlinePolicy",
    "ProportionalPolicy",
    "Seen",
    "Settlement",
    "ShortestFirstPolicy",
    "TimeWindows",
    "UniformPolicy",
    "UnlimitedPolicy",
    "Windows",
]
