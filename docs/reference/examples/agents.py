"""Examples of the reference page of walras.agents."""

# %% setup
import numpy as np
import torch
from transformers import BertConfig, BertModel

import walras
from walras.agents import BidderInfo, RoundOutcome

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
model = BertModel(BertConfig(vocab_size=40, **sizes)).eval()
batches = [{"input_ids": torch.arange(32).reshape(4, 8), "attention_mask": torch.ones(4, 8, dtype=torch.long)}]
market = walras.open_market(model, None, batches, budget=0.5, rounds=2, block=16)
calibration, gates, generator = (
    market.calibration,
    torch.ones(len(market.ledger.name)),
    torch.Generator().manual_seed(0),
)

value = np.array([4.0, 2.0, 1.0])
wealth, price = np.array([1.0, 9.0, 9.0]), np.full(3, 1.5)
known = BidderInfo(value, cost=np.full(3, 0.1), wealth=wealth, quantity=np.ones(3), price=price, supply=0.2)
past = RoundOutcome(value, value, np.array([1.0, 1.0, 0.0]), price=np.full(3, 1.5), payment=np.array([1.5, 1.5, 0.0]))
dice = np.random.default_rng(0)

# %% UnitAgent, HeadAgent, FFNBlockAgent, ExpertAgent, SublayerAgent
from walras.agents import FFNBlockAgent, HeadAgent


class Modest(HeadAgent):
    """A head that asks for half of what it is worth."""

    def bid(self):
        return self.value / 2


modest = walras.open_market(model, None, batches, budget=0.5, rounds=1, block=16, agents={"head": Modest})
modest.step()
print({kind.__name__: len(agents) for kind, agents in modest.agents_by_type.items()})
agent = modest.agents_by_type[FFNBlockAgent][0]
print(agent.name, agent.kind, agent.layer, agent.quantity)

# %% AGENTS, agent_class
from walras.agents import AGENTS, agent_class

print({kind: cls.__name__ for kind, cls in AGENTS.items()})
print(agent_class("pair").__name__)  # of a kind of your own

# %% BidderInfo, Truthful, Shading, ZeroIntelligence, BudgetLimited, BestResponse
from walras.agents import BestResponse, BudgetLimited, Shading, Truthful, ZeroIntelligence

for strategy in (Truthful(), Shading(factor=0.8), ZeroIntelligence(), BudgetLimited(), BestResponse(margin=0.01)):
    print(f"{strategy.name:18}", strategy.bid(known, dice).round(3).tolist())

# %% RoundOutcome
print(past.reward.tolist())  # value of what was won, less the payment
print(past.forgone(np.array([1.0, 2.0, 2.0])).tolist())  # what other reports would have earned

# %% Hedge, EXP3, RegretMatching
from walras.agents import EXP3, Hedge, RegretMatching

for strategy in (Hedge(rate=0.5), EXP3(gamma=0.2), RegretMatching()):
    learning = strategy.begun(3, dice)  # of three agents
    learning = learning.after(past, dice)
    print(f"{strategy.name:16}", learning.bid(known, dice).round(2).tolist())

# %% Mixture, STRATEGIES
from walras.agents import STRATEGIES, Mixture

population = STRATEGIES.make("truthful=0.5,shading=0.5")
assert isinstance(population, Mixture)
print(population.begun(4, dice).names(4))
print(list(STRATEGIES))

# %% Strategy
from dataclasses import dataclass

from walras import Strategy


@dataclass(frozen=True)
class Half(Strategy):
    """Agents report half of their value."""

    name = "half"

    def bid(self, info, generator):
        return info.value / 2


print(Half().bid(known, dice).tolist())

# %% Calibration
from walras.agents import Calibration

assert isinstance(calibration, Calibration)
print(len(calibration.inventory), "units,", len(calibration.batches), "batch")
print("costs add up to", calibration.cost.sum().round(3))

# %% Valuation
from dataclasses import dataclass

from walras import Valuation


@dataclass(frozen=True)
class Depth(Valuation):
    """A unit is worth more the deeper it lies."""

    unit = "layers"

    def __call__(self, calibration, gates, generator):
        return torch.from_numpy(calibration.inventory.layer + 1.0)


print(Depth()(calibration, gates, generator).tolist())

# %% VALUATIONS
from walras.agents import VALUATIONS

print(list(VALUATIONS))
print(VALUATIONS.make("shapley:permutations=4"))

# %% Fisher, Gradient, BlockFisher, PartialFisher, Michel, KnowledgeScore, Magnitude, Uniform, Random
from walras.agents import BlockFisher, Fisher, Gradient, KnowledgeScore, Magnitude, Michel, PartialFisher
from walras.agents import Random, Uniform

for valuation in (
    Fisher(), Gradient(), BlockFisher(), PartialFisher(), Michel(), KnowledgeScore(), Magnitude(), Uniform(), Random()
):  # fmt: skip
    worth = valuation(calibration, gates, generator)
    print(f"{type(valuation).__name__:15} most valued: {market.ledger.name[int(worth.argmax())]:6} in {valuation.unit}")

# %% WandaSP, Fluctuation, BlockInfluence
from walras.agents import BlockInfluence, Fluctuation, WandaSP

for valuation in (WandaSP(), Fluctuation(), BlockInfluence()):
    worth = valuation(calibration, gates, generator)
    print(f"{type(valuation).__name__:15} most valued: {market.ledger.name[int(worth.argmax())]}")

# %% OBSErrors, LayerLoss
from walras.agents import LayerLoss, OBSErrors

for valuation in (OBSErrors(), LayerLoss(spared_first=0, spared_last=0)):
    worth = valuation(calibration, gates, generator)
    print(f"{type(valuation).__name__:15} most valued: {market.ledger.name[int(worth.argmax())]}")

# %% REAP
from transformers import MixtralConfig, MixtralForCausalLM

import walras
from walras.agents import REAP

sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
mixture = MixtralForCausalLM(MixtralConfig(vocab_size=50, num_hidden_layers=2, num_local_experts=4, **sizes)).eval()
ids = torch.arange(48).view(4, 12)
experts = walras.open_market(
    mixture, None, [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}], budget="bytes=0.7", units=["expert"],
    valuation=REAP(), scope="sublayer",
)  # fmt: skip
experts.step()
print("kept:", [name for name, kept in zip(experts.ledger.name, experts.ledger.quantity > 0, strict=True) if kept])

# %% LeaveOneOut, Shapley
from walras.agents import LeaveOneOut, Shapley

alone = LeaveOneOut()(calibration, gates, generator)
shared = Shapley(permutations=2)(calibration, gates, generator)
print(market.ledger.name[int(alone.argmax())], market.ledger.name[int(shared.argmax())])

# %% QuadraticSurrogate
from walras.agents import QuadraticSurrogate

surrogate = QuadraticSurrogate()
before = surrogate(calibration, gates, generator)
fewer = gates.clone()
fewer[0] = 0
print("values change as units leave:", not torch.equal(before[1:], surrogate(calibration, fewer, generator)[1:]))

# %% coalition_losses
from walras.agents.calibration import coalition_losses

two = torch.ones(2, len(gates))
two[1, :4] = 0  # without the heads of the first layer
print([f"{loss:.1e}" for loss in coalition_losses(calibration, two).tolist()])

# %% pairwise
from walras.agents import pairwise

ties = pairwise(calibration, gates, units=[0, 1, 2])
print(tuple(ties.shape), "symmetric:", torch.equal(ties, ties.T))

# %% at_rest
from walras.agents.calibration import at_rest

model.train()
with at_rest(model):
    print("training:", model.training)
print("training:", model.training)
model.eval()

# %% UnitOutcome
from walras import HeadAgent


class Told(HeadAgent):
    """A head that keeps what it is told."""

    def after(self, outcome):
        self.last = outcome  # a UnitOutcome


market = walras.toy(agents={"head": Told}, rounds=1)
market.step()
first = next(agent for agent in market.agents if isinstance(agent, Told))
print(first.name, first.last.round, first.last.quantity, round(first.last.surplus, 3))

# %% GivenUnits, GivenValues, TradedUnits
from walras.agents import GivenUnits, GivenValues, Truthful

units = GivenUnits(np.array([1.0, 1.0, 2.0]), layers=[0, 0, 1], kinds=["head", "head", "ffn"])
print(units.cost, len(units.inventory))
given = walras.ComputeMarket(units, GivenValues((3.0, 1.0, 2.0)), walras.ShadowPrice(), [0.5], strategy=Truthful())
given.step()
print(given.ledger.name[given.ledger.quantity > 0])
