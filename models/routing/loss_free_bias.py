"""A bias of each expert that moves against its load: tatonnement, a step a batch."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, final

from torch import Tensor

from walras.errors import InputError
from walras.models.routing.posted_prices import PostedPrices, prices_of
from walras.models.routing.rule import Allotment, RoutingMarket, RoutingRule


@final
@dataclass(frozen=True)
class LossFreeBias(RoutingRule):
    """Each token gets the k experts of highest logit plus bias, and a bias falls after a batch that overloaded it.

    Load balancing without an auxiliary loss (Wang et al. 2024, arXiv 2408.15664): b_e += rate * sign(equal share - load
    of e). The negative of the bias is a price that is posted for a batch and then moves with the sign of its excess
    demand: tatonnement with one call a batch, at which trade happens all the same. With `proportional` it moves by
    excess demand as a share of the supply, at most 1 as in `Tatonnement`, which is dual ascent (arXiv 2512.03915).

    The paper adds the bias to sigmoids of logits; here it is added to the logits themselves, which are what these
    families rank. Weights of the chosen do not see it. Prices come from earlier batches alone, so that a token's
    experts depend on no other token, and evaluation posts the last ones.

    Attributes:
        rate: of a step, in logits.
        proportional: as said.
        learned: the prices [experts], negatives of the biases.
    """

    rate: float = 0.001
    proportional: bool = False
    learned: Tensor | None = field(default=None, compare=False)
    name: ClassVar[str] = "loss-free-bias"

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):
            raise InputError(f"rate is {self.rate}; it must be a number above 0")

    def __call__(self, logits: Tensor, k: int) -> Allotment:
        """As `RoutingRule`."""
        return PostedPrices(self.learned)(logits, k)

    def market(self, logits: Tensor, k: int) -> RoutingMarket:
        """That of `PostedPrices`."""
        return PostedPrices(self.learned).market(logits, k)

    def after(self, allotment: Allotment) -> "LossFreeBias":
        """A step of every price."""
        load = allotment.chosen.sum(0).double()
        excess = load / load.mean() - 1
        move = excess.clamp(max=1.0) if self.proportional else excess.sign()
        return replace(self, learned=prices_of(self.learned, load.unsqueeze(0)) + self.rate * move)

    def at_evaluation(self) -> RoutingRule:
        """The last prices, posted."""
        return PostedPrices(self.learned)
