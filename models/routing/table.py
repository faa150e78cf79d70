"""All routing rules by name. A new one is one file with one class, and one entry here."""

from walras.models.routing.balanced_assignment import BalancedAssignment
from walras.models.routing.capacity_price import CapacityPrice
from walras.models.routing.expert_choice import ExpertChoice
from walras.models.routing.loss_free_bias import LossFreeBias
from walras.models.routing.posted_prices import PostedPrices
from walras.models.routing.rule import RoutingRule
from walras.models.routing.top_experts import TopExperts
from walras.registry import Registry

ROUTING_RULES: Registry[RoutingRule] = Registry("routing rule", RoutingRule)
for _rule in (TopExperts, ExpertChoice, BalancedAssignment, LossFreeBias, CapacityPrice, PostedPrices):
    ROUTING_RULES.add(_rule)
