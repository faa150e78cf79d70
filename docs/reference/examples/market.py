"""Examples of the reference page of walras.market."""

# %% setup
import numpy as np
import torch
from transformers import BertConfig, BertModel

import walras

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
model = BertModel(BertConfig(vocab_size=40, **sizes)).eval()
batches = [{"input_ids": torch.arange(32).reshape(4, 8), "attention_mask": torch.ones(4, 8, dtype=torch.long)}]


def open_market(**settings):
    """A small market: 8 heads and 8 blocks of FFN neurons."""
    return walras.open_market(model, None, batches, **{"budget": 0.5, "rounds": 2, "block": 16, **settings})


# %% ComputeMarket
from walras import ComputeMarket

market = open_market()
assert isinstance(market, ComputeMarket)
for _ in market.remaining():
    market.step()
print(market.frame[["round", "budget", "used", "status"]].round(3).to_string(index=False))
print("funded:", ", ".join(market.ledger.name[market.gates.numpy() > 0]))

# %% Ledger
ledger = open_market().ledger  # columns with an entry per unit
print(len(ledger), ledger.name[:3].tolist(), ledger.cost[:3].round(3).tolist(), ledger.wealth[:3].tolist())

# %% Session
print([session.budget for session in open_market(schedule="linear").sessions])

# %% Round, Economics
market = open_market()
market.step()
played, figures = market.rounds[0], market.economics[0]
print(type(played).__name__, round(played.used, 3), dict(played.funded), played.left, "left")
print(type(figures).__name__, round(figures.efficiency, 3), round(figures.gini_compute, 3))

# %% Phase, Turn
from dataclasses import dataclass, replace

from walras.market import Phase


@dataclass(frozen=True)
class CountLosers(Phase):
    """Adds a column with the number of units that bid and lost."""

    name, done, follows = "losers", "counted", "clear"

    def run(self, market, turn):
        lost = turn.bidding & (turn.quantity == 0)
        return replace(turn, figures={"losers": float(lost.sum())})


market = open_market(phases=[CountLosers()])
market.on("counted", lambda market, turn: print("round", turn.number, "losers", turn.figures["losers"]))
for _ in market.remaining():
    market.step()

# %% PHASES, DEFAULT_PHASES, Open, Value, Bid, walras.market.phases.Clear, Settle, in_order
from walras.market.phases import DEFAULT_PHASES, PHASES, Probes, in_order

print([phase.name for phase in DEFAULT_PHASES])
print([phase.name for phase in in_order(DEFAULT_PHASES, [Probes(agents=2)])])
print(list(PHASES))

# %% Probes
from walras.market import Probes

market = open_market(mechanism="PayAsBidAuction", probes=4, rounds=1)  # the setting adds the phase
market.step()
print([phase for phase in market.phases if isinstance(phase, Probes)])
print("an agent could have gained by a lie:", market.economics[0].deviation_gain > 0)

# %% SublayerSessions
from walras.market import SublayerSessions

market = open_market(phases=[SublayerSessions()], rounds=1)
print(len(market.sessions), "sessions for one budget, the first of sub-layer", market.sessions[0].site.path)

# %% SwapRefinement
from walras.market import SwapRefinement

market = open_market(phases=[SwapRefinement()], rounds=1)
market.step()
print([phase.name for phase in market.phases], f"{market.rounds[0].used:.3f}")

# %% LayerByLayer
from walras.market import LayerByLayer

market = open_market(phases=[LayerByLayer()], units=["block"], valuation="layer-loss", rounds=1)
print([round(session.budget, 3) for session in market.sessions], "a layer of two leaves")

# %% Osscar
from walras.market import Osscar, SublayerSessions

result = walras.run(
    model, None, batches, budget=0.5, recipe="osscar", block=16, phases=[SublayerSessions(), Osscar(rounds=5)]
)
print(dict(result.summary.kept), f"{result.summary.used:.3f}")

# %% Spdy, EvoPress
from walras.market import EvoPress, Spdy

search = EvoPress(generations=3, offspring=4, survivors=(2, 1), tokens=(16, 32))
for recipe, phase in (("ziplm", Spdy(steps=10)), ("evopress", search)):
    result = walras.run(model, None, batches, budget=0.5, recipe=recipe, block=4, phases=[phase])
    print(recipe, dict(result.summary.kept), f"{result.summary.used:.3f}")

# %% BilateralTrade, Menus
from walras.market import BilateralTrade, Menus

two = [{name: rows[i : i + 2] for name, rows in batches[0].items()} for i in (0, 2)]
for phase in (BilateralTrade(rounds=1, tokens=16), Menus(levels=2, tokens=16)):  # with mechanism=VCG(): the best menus
    result = walras.run(
        model, None, two, budget=0.5, recipe="none", rounds=1, block=16, phases=[phase],
        repair="structured_obs:sequential=false",
    )  # fmt: skip
    print(type(phase).__name__, dict(result.summary.kept), f"{result.summary.used:.3f}")

# %% RepairWeights
from walras.market import RepairWeights
from walras.models.repair import REPAIRS

phase = RepairWeights(REPAIRS.make("scales"))
print(phase.name, "runs after", phase.follows)

# %% RefitLastNorm
from walras.market import RefitLastNorm

phase = RefitLastNorm(ridge=1.0)
print(phase.name, "runs after", phase.follows)

# %% Schedule, SCHEDULES, budget_path
from dataclasses import dataclass

from walras.market import SCHEDULES, Schedule, budget_path


@dataclass(frozen=True)
class Late(Schedule):
    """Takes nothing away until the last round."""

    name = "late"

    def shares(self, budget, rounds):
        return [1.0] * (rounds - 1) + [budget]


print(Late().path(0.5, 4), list(SCHEDULES))
print([round(share, 3) for share in budget_path(0.5, 4, "geometric")])

# %% Scope, SCOPES
from dataclasses import dataclass

from walras.market import SCOPES, Scope


@dataclass(frozen=True)
class Halves(Scope):
    """The lower and the upper half of the network are markets of their own."""

    name = "halves"

    def markets(self, inventory):
        return np.where(inventory.layer < inventory.layer.max() / 2, "lower", "upper")


market = open_market(scope=Halves(), rounds=1)
market.step()
print(list(SCOPES), [name for name in market.frame.columns if "lower" in name or "upper" in name])

# %% Shock, SHOCKS, Disable, NewTask
from walras.market import SHOCKS, Disable

market = open_market(rounds=3, shocks=[Disable(2, ["L0.H1", "L1.F0"])])
for _ in market.remaining():
    market.step()
print(market.frame[["round", "shock"]].to_string(index=False))
print(list(SHOCKS))

# %% TraceWriter, read_trace
import walras
from walras.market import TraceWriter

market = open_market()
market.on("played", TraceWriter("trace"))
for _ in market.remaining():
    market.step()
frame = walras.read_trace("trace")
print(len(frame), "rows:", ", ".join(frame.columns))

# %% Trace
import walras
from walras.market import Trace

walras.run(model, None, batches, recipe="none", budget=0.5, rounds=2, block=16, out="run")
study = Trace(walras.read_trace("run"))
print(study.layers.to_string(index=False))
print("wealthiest:", study.winners["agent"].iloc[0])

# %% read_rounds
import walras

walras.run(model, None, batches, recipe="none", budget=0.5, rounds=2, block=16, out="run")
print(walras.read_rounds("run")[["round", "used", "status"]].round(3).to_string(index=False))

# %% deviation_gain
from walras import PayAsBidAuction, UniformPriceAuction
from walras.market import deviation_gain

value, cost = np.array([4.0, 3.0, 2.0, 1.0]), np.ones(4)
for rule in (PayAsBidAuction(), UniformPriceAuction()):  # all tell the truth; what could each gain by a lie?
    print(type(rule).__name__, deviation_gain(rule, value, value, 2.0, torch.from_numpy(cost)).tolist())

# %% Pricing, PRICINGS, Tax
from walras.market.pricing import PRICINGS, Pricing, Tax

tax = Tax(price=0.1, rise="linear")
assert isinstance(tax, Pricing)
cost = torch.tensor(0.8)  # expected share of the dense model's compute
print([round(float(tax.penalty(cost, at)), 3) for at in (0.0, 0.5, 1.0)])  # at the start, half-way, at the end
print(list(PRICINGS))

# %% Rise, RISES
from dataclasses import dataclass

from walras.market.pricing import RISES, Rise, Tax


@dataclass(frozen=True)
class Late(Rise):
    """Asks for nothing, and then for the whole price."""

    start: float = 0.5

    def share(self, at, memory):
        return float(at >= self.start)


cost = torch.tensor(0.8)
for rise in (Late(), "linear", "cosine:until=1"):
    tax = Tax(price=0.1, rise=rise)
    print([round(float(tax.penalty(cost, at)), 3) for at in (0.0, 0.25, 0.5, 1.0)])
print(list(RISES))

# %% Constant, Linear, Quadratic, Cubic, Cosine
from walras.market.pricing.rises import Constant, Cosine, Cubic, Linear, Quadratic

for rise in (Constant(), Linear(), Quadratic(), Cubic(), Cosine()):
    print(rise.name, [round(rise.share(at, ()), 3) for at in (0.0, 0.125, 0.25, 0.375, 0.5, 1.0)])

# %% ByTarget, EvenCost, Memory
from walras.market.pricing.rises import ByTarget, EvenCost, Memory

for rise in (ByTarget(budget=0.5), EvenCost()):
    memory: Memory = ()
    for at, cost in ((0.0, 1.0), (0.1, 0.9), (0.2, 0.6), (0.3, 0.5)):  # what is used, step by step
        print(rise.name, at, round(rise.share(at, memory), 3))
        memory = rise.after(at, cost, memory)

# %% ShadowPricing
from walras.market.pricing import ShadowPricing

pricing = ShadowPricing(budget=0.5)
print([round(pricing.supply(at), 3) for at in (0.0, 0.35, 0.7, 1.0)])  # the supply shrinks to the budget

# %% DualAscent
from walras.market.pricing import DualAscent

pricing = DualAscent(budget=0.5, rate=0.1)
for _ in range(3):
    pricing = pricing.after(cost=0.9, at=1.0)  # above the budget: the price rises
    print(round(pricing.price, 3))

# %% Cleared
from walras import ShadowPrice
from walras.market.pricing import Cleared

pricing = Cleared(ShadowPrice(), supplies=(0.8, 0.6, 0.5))
print(pricing.supplies, "sold", pricing.played, "times")

# %% Queries, Clear, Allocation, Regime
from walras import Clear, Queries

queries = Queries(np.array([120.0, 300.0, 2000.0]))  # tokens below which an answer is worth nothing
grants = Clear()(queries, budget=700)
print(grants.tokens.tolist(), grants.status.tolist(), grants.regime.value, grants.unspent)

# %% Allocator, Exact, PlainClear, Posted, Clock, ShortestFirst, Proportional, walras.market.queries.Uniform, ALLOCATORS
from walras import Queries
from walras.market.queries import ALLOCATORS

queries = Queries(np.array([120.0, 300.0, 900.0]))
for name in ALLOCATORS:
    spelled = "posted:price=0.002" if name == "posted" else name
    print(f"{name:15}", ALLOCATORS.make(spelled)(queries, budget=700).tokens.tolist())

# %% Oracle
from walras import Queries
from walras.market.queries import Oracle

queries = Queries(np.array([120.0, 300.0, 900.0]))
print(Oracle(need=np.array([100.0, 650.0, 500.0]))(queries, budget=700).tokens.tolist())  # who knew what is needed

# %% OnlineMarket, Grant, Settlement
from walras import OnlineMarket

online = OnlineMarket(budget=1000, window=4)  # tokens for every four queries
grant = online.offer("first", threshold=150)
print(grant.max_tokens, grant.status)
print(online.refund("first", used=120))

# %% TimeWindows, CountWindows, Windows
from walras import OnlineMarket
from walras.market.queries import CountWindows, TimeWindows

for windows in (TimeWindows(60, expected=4), CountWindows(4)):  # a budget a minute, or for every four queries
    online = OnlineMarket(1000, windows)
    for second in (0, 10, 70):
        online.offer(f"at {second}", threshold=150, now=second)
    print(windows.kind, windows.number, online.left)

# %% ONLINE_POLICIES, OnlinePolicy, Seen
from walras import OnlineMarket
from walras.market.queries import ONLINE_POLICIES, OnlinePolicy


class Half(OnlinePolicy):
    """Half of what is left, to whoever comes."""

    name = "half"
    informed = False  # thresholds are not looked at

    def wanted(self, bids, seen):  # `Seen` is what the market has seen so far: shares, price, recent queries
        return [seen.left / 2] * len(bids.threshold)


for policy in (Half(), *map(ONLINE_POLICIES.make, ("clear", "uniform", "fixed-cap:tokens=300"))):
    online = OnlineMarket(1000, 4, policy)
    print(f"{policy.name:10}", [online.offer(str(i), threshold=150).max_tokens for i in range(4)])

# %% UniformPolicy, FixedCapPolicy, UnlimitedPolicy
from walras import OnlineMarket
from walras.market.queries.online import FixedCapPolicy, UniformPolicy, UnlimitedPolicy

for policy in (UniformPolicy(), FixedCapPolicy(tokens=300), UnlimitedPolicy()):  # do not look at thresholds
    online = OnlineMarket(1000, 4, policy)
    print(
        f"{policy.name:10}", [online.offer(str(i), threshold).max_tokens for i, threshold in enumerate((150, 400, 50))]
    )

# %% ClearPolicy, ProportionalPolicy, ShortestFirstPolicy, MultiplierSearchPolicy
from walras import OnlineMarket
from walras.market.queries.online import (
    ClearPolicy,
    MultiplierSearchPolicy,
    ProportionalPolicy,
    ShortestFirstPolicy,
)

for policy in (ClearPolicy(), ProportionalPolicy(), ShortestFirstPolicy(), MultiplierSearchPolicy()):
    online = OnlineMarket(1000, 4, policy, headroom=100)
    print(
        f"{policy.name:18}", [online.offer(str(i), threshold).max_tokens for i, threshold in enumerate((150, 400, 50))]
    )

# %% SHAPES
from walras.market.queries import SHAPES

print({name: shape.__name__ for name, shape in SHAPES.items()})

# %% TraceHistory
from walras.market import TraceHistory

market, kept = open_market(), TraceHistory(rounds=1)  # the last round alone
market.on("played", kept)
for _ in market.remaining():
    market.step()
print(kept.frame()["round"].unique())
