"""Routing markets: rules by which tokens and experts of a mixture find each other, in place of top-k, in real models.

A new rule is one file with one class, and one entry in `ROUTING_RULES` (`table.py`).
"""

from walras.models.routing.balanced_assignment import BalancedAssignment as BalancedAssignment
from walras.models.routing.capacity_price import CapacityPrice as CapacityPrice
from walras.models.routing.expert_choice import ExpertChoice as ExpertChoice
from walras.models.routing.load import Load as Load
from walras.models.routing.loss_free_bias import LossFreeBias as LossFreeBias
from walras.models.routing.posted_prices import PostedPrices as PostedPrices
from walras.models.routing.rule import Allotment as Allotment
from walras.models.routing.rule import RoutingMarket as RoutingMarket
from walras.models.routing.rule import RoutingRule as RoutingRule
from walras.models.routing.table import ROUTING_RULES as ROUTING_RULES
from walras.models.routing.top_experts import TopExperts as TopExperts
from walras.models.routing.wiring import Routers as Routers
from walras.models.routing.wiring import routing_market as routing_market
