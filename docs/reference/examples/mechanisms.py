"""Examples of the reference page of walras.mechanisms."""

# %% setup
import torch

from walras import IndivisibleBids

worth = torch.tensor([8.0, 5.0, 3.0, 1.0])  # of four agents
cost = torch.tensor([[2.0], [1.0], [1.0], [1.0]])  # what each uses of one resource: [agents, resources]
bids = IndivisibleBids(worth)

# %% Mechanism
from dataclasses import dataclass

from walras import Clearing, Mechanism
from walras.mechanisms import charge


@dataclass(frozen=True)
class TakeItOrLeaveIt(Mechanism):
    """Sells at one price, in the order of the agents, while there is supply."""

    asked: float = 2.0

    def clear(self, bids, supply, cost):
        price = torch.full_like(supply, self.asked)
        wanted = bids.demand(charge(cost, price))
        used = (cost * wanted.unsqueeze(-1)).cumsum(-2)
        return Clearing(wanted * (used <= supply).all(-1), price)


sold = TakeItOrLeaveIt()(bids, 3.0, cost)
print(sold.quantity.tolist(), sold.payment.tolist())

# %% Clearing, Status
from walras import ShadowPrice, Status

outcome = ShadowPrice()(bids, 3.0, cost)
print("levels", outcome.quantity.tolist())
print("price", outcome.price.tolist(), "payments", outcome.payment.tolist())
print(Status(int(outcome.status)).word, "residual", outcome.residual.tolist())

# %% ShadowPrice
from walras import ShadowPrice

outcome = ShadowPrice()(bids, 3.0, cost)
print(outcome.quantity.tolist(), outcome.price.tolist())  # the price is the worth per cost of the first left out

# %% UniformPriceAuction
from walras import UniformPriceAuction

scores = IndivisibleBids(torch.tensor([0.9, 0.1, 0.5, 0.7]))
outcome = UniformPriceAuction()(scores, 2.0)  # two places: top-k with k = 2
print(outcome.quantity.tolist(), outcome.price.tolist())

# %% PayAsBidAuction
from walras import PayAsBidAuction

outcome = PayAsBidAuction()(bids, 3.0, cost)
print(outcome.quantity.tolist(), outcome.payment.tolist())  # winners pay what they bid

# %% VCG
from walras import VCG

outcome = VCG()(bids, 3.0, cost)
print(outcome.quantity.tolist(), outcome.payment.tolist())  # what a winner's presence costs the others

# %% PostedPrice
from walras import PostedPrice

outcome = PostedPrice(price=4.5)(bids, 3.0, cost)
print(outcome.quantity.tolist(), "unsold", -float(outcome.residual))

# %% AscendingClock
from walras import AscendingClock

outcome = AscendingClock(step=0.1)(bids, 3.0, cost)
print(outcome.quantity.tolist(), round(float(outcome.price), 3))  # at most a step above the clearing price

# %% Tatonnement
from walras import QuadraticBids, ShadowPrice, Tatonnement

divisible = QuadraticBids(torch.tensor([2.0, 1.0]))
found, exact = Tatonnement()(divisible, 1.0), ShadowPrice()(divisible, 1.0)
print(round(float(found.price), 4), round(float(exact.price), 4))

# %% ProportionalShare
from walras import Budgeted, ProportionalShare, QuadraticBids

rich_and_poor = Budgeted(QuadraticBids(torch.tensor([2.0, 2.0])), torch.tensor([3.0, 1.0]))
print(ProportionalShare()(rich_and_poor, 1.0).quantity.tolist())

# %% CompetitiveEquilibrium, Budgeted
from walras import Budgeted, CompetitiveEquilibrium, QuadraticBids

rich_and_poor = Budgeted(QuadraticBids(torch.tensor([9.0, 9.0])), torch.tensor([3.0, 1.0]))
outcome = CompetitiveEquilibrium()(rich_and_poor, 1.0)
print([round(q, 3) for q in outcome.quantity.tolist()], round(float(outcome.price), 3))

# %% KwonSearch
from walras import KwonSearch

outcome = KwonSearch()(bids, 3.0, cost)
print(outcome.quantity.tolist(), "worth", float(bids.utility(outcome.quantity).sum()))

# %% MECHANISMS
from walras.mechanisms import MECHANISMS

rule = MECHANISMS.make("posted-price:price=0.5")
print(rule)
print(", ".join(MECHANISMS))

# %% Bids
from walras import Bids

assert isinstance(bids, Bids)  # any object with these methods is a population
print(bids.demand(torch.tensor([4.0, 6.0, 1.0, 2.0])).tolist(), bids.reservation_price().tolist())

# %% IndivisibleBids
from walras import IndivisibleBids

wholes = IndivisibleBids(torch.tensor([3.0, 1.0]))  # a whole unit or nothing
print(wholes.demand(torch.tensor([2.0, 2.0])).tolist())

# %% QuadraticBids, EntropicBids, TsallisBids
from walras import EntropicBids, QuadraticBids, ShadowPrice, TsallisBids

score = torch.tensor([1.0, 0.5, -1.0])
rule = ShadowPrice(price_floor=-torch.inf)  # all is sold, as attention is
for population in (EntropicBids(score), QuadraticBids(score), TsallisBids(score, alpha=1.5)):
    shares = rule(population, 1.0).quantity
    print(f"{type(population).__name__:14}", [round(share, 3) for share in shares.tolist()])

# %% LogisticBids
from walras.mechanisms import LogisticBids

gates = LogisticBids(torch.tensor([2.0, 0.0, -2.0]))  # each is open with some chance
print([round(q, 3) for q in gates.demand(torch.zeros(3)).tolist()])

# %% MenuBids
from walras import MenuBids

menu = MenuBids(torch.tensor([0.5, 1.0]), torch.tensor([[3.0, 4.0]]))  # what half and all of it are worth
print([menu.demand(torch.tensor([price])).item() for price in (1.0, 3.0, 7.0)])

# %% SurgeBids, QuadraticSurgeBids, GammaBids, TriangularBids
from walras import SurgeBids
from walras.mechanisms import GammaBids, QuadraticSurgeBids, TriangularBids

threshold = torch.tensor([100.0, 400.0])  # tokens below which an answer is worth nothing
price = torch.full((2,), 0.004)
for shape in (SurgeBids, QuadraticSurgeBids, GammaBids, TriangularBids):
    print(f"{shape.__name__:18}", [round(q, 1) for q in shape(threshold, 1.0, 0.05).demand(price).tolist()])

# %% charge, resource_use
from walras.mechanisms import charge, resource_use

print(charge(cost, torch.tensor([0.5])).tolist())  # price of a level to each agent
print(resource_use(cost, torch.tensor([1.0, 0.0, 1.0, 0.0])).tolist())

# %% money
from dataclasses import dataclass

from walras.mechanisms import Mechanism, money


@dataclass(frozen=True)
class WithFee(Mechanism):
    """A rule whose fee scales with the bids."""

    fee: float = money(0.1)

    def clear(self, bids, supply, cost):
        raise NotImplementedError


print(WithFee().fee)

# %% check_mechanism
from walras import ShadowPrice, check_mechanism

report = check_mechanism(ShadowPrice(), instances=2)
print(sum(check.passed for check in report), "of", len(report), "checks passed")
