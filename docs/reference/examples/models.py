"""Examples of the reference page of walras.models."""

# %% setup
import torch
from transformers import BertConfig, BertModel

from walras.models import inventory

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
model = BertModel(BertConfig(vocab_size=40, **sizes)).eval()
batch = {"input_ids": torch.arange(16).reshape(2, 8), "attention_mask": torch.ones(2, 8, dtype=torch.long)}
units = inventory(model, block=16)  # 4 heads and 4 blocks of 16 neurons per layer

# %% inventory, Inventory
from walras.models import inventory

everything = inventory(model, block=16)
print(len(everything), "units of kinds", everything.kinds)
print([everything.name(i) for i in range(6)])
print(inventory(model, kinds=["head"]).counts(torch.ones(8, dtype=torch.bool).numpy()))

# %% Site
for site in units.sites[:2]:
    print(site.path, "holds units", site.units, "of kind", site.kind.name)

# %% UnitKind, UNIT_KINDS
from walras.models import UNIT_KINDS, inventory

print(list(UNIT_KINDS))
whole_sublayers = UNIT_KINDS.make("block")
print([inventory(model, kinds=[whole_sublayers]).name(i) for i in range(4)])

# %% gated, attach, Gates
from walras.models import Gates, attach, gated

gates = torch.ones(len(units))
gates[0] = 0  # head 0 of layer 0
with torch.no_grad():
    dense = model(**batch).last_hidden_state
    with gated(model, units, gates):
        moved = model(**batch).last_hidden_state
    handle = attach(model, units, gates)  # the same until it is removed
    assert isinstance(handle, Gates)
    assert torch.equal(model(**batch).last_hidden_state, moved)
    handle.remove()
    assert torch.equal(model(**batch).last_hidden_state, dense)
print("closing one head moves the output by", f"{float((moved - dense).norm() / dense.norm()):.3f}")

# %% compact
from walras.models import compact, gated

keep = torch.arange(len(units)) % 3 > 0
small = compact(model, units, keep)
with torch.no_grad(), gated(model, units, keep.float()):
    same = torch.allclose(small(**batch).last_hidden_state, model(**batch).last_hidden_state, atol=1e-5)
print(sum(p.numel() for p in model.parameters()), "->", sum(p.numel() for p in small.parameters()), "equal:", same)

# %% load_model
import walras

result = walras.run(model, None, [batch], recipe="none", budget=0.6, block=16, rounds=1)
result.export("smaller")
small = walras.load_model("smaller")  # no code of the folder is run; weights and counts are checked
print(sum(p.numel() for p in model.parameters()), "->", sum(p.numel() for p in small.parameters()), "parameters")

# %% architecture, Architecture, ARCHITECTURES, SubLayer, Projection
from walras.models import ARCHITECTURES, Architecture, architecture

row = architecture(model)
assert isinstance(row, Architecture)
print("layers at", row.layers, "- heads write by", row.heads.output, "- neurons by", row.ffn.output)
print(row.ffn.inputs)
print(len(ARCHITECTURES), "families:", ", ".join(list(ARCHITECTURES)[:4]), "...")

# %% macs, Macs
from walras.models import Macs, Workload, macs

used = macs(model, units, length=128)
print(f"{used.dense:,.0f} {used.unit}; the first head uses {used.share[0]:.1%} of it")
assert Macs().measure(model, units, Workload(length=128)).dense == used.dense

# %% RESOURCES, Workload
from walras.models import RESOURCES, Workload

print(list(RESOURCES))
for name in ("macs", "parameters", "bytes"):
    used = RESOURCES.make(name).measure(model, units, Workload(batch=1, length=64))
    print(f"{used.dense:,.0f} {used.unit}")

# %% Resource, Usage
from dataclasses import dataclass

from walras.models.resources import RESOURCES, Resource, Usage, Workload


@dataclass(frozen=True)
class Energy(Resource):
    """Joules of one pass."""

    per_mac: float = 1e-12
    name, unit = "energy", "J"

    def measure(self, model, inventory, workload, tell=print):
        macs = RESOURCES.make("macs").measure(model, inventory, workload).own
        return Usage.additive_use(self.name, self.unit, inventory, self.per_mac * macs)


print(f"{Energy().measure(model, units, Workload()).dense:.2e} J")

# %% output_weights
from walras.models import output_weights

for site, weight in output_weights(model, units):
    print(site.path, tuple(weight.shape))

# %% Repair, REPAIRS
import walras
from walras.models.repair import REPAIRS, Repair

repair = REPAIRS.make("least-squares")
assert isinstance(repair, Repair)
result = walras.run(model, None, [batch], recipe="none", budget=0.6, block=16, rounds=1, repair=repair)
print(list(REPAIRS), "- tensors that the repair has changed:", len(result.repaired()))

# %% attention_market, AttentionRule
from walras.models.attention import AttentionRule, TopKeys, attention_market

rule = TopKeys(2)
assert isinstance(rule, AttentionRule)
shown = []
with torch.no_grad(), attention_market(model, rule, watch=lambda layer, scores, weights: shown.append(weights)):
    model(**batch)
print("layers", len(shown), "- open keys per query:", int((shown[0] > 0).sum(-1).max()))

# %% ATTENTION_RULES
from walras.models.attention import ATTENTION_RULES

print(list(ATTENTION_RULES))

# %% Softmax, Sparsemax, Entmax, TopKeys, NullKey, Threshold, Literal, RandomKeys
from walras.models.attention import Entmax, Literal, NullKey, RandomKeys, Softmax, Sparsemax, Threshold, TopKeys

scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
rules = (Softmax(), Sparsemax(), Entmax(1.5), TopKeys(2), NullKey(1.0), Threshold(0.1), Literal(1.0))
for rule in (
    *rules,
    RandomKeys(2, seed=0),
):  # Literal is the paper's formula as printed: the price cancels, and softmax is left
    print(f"{type(rule).__name__:11}", [round(weight, 3) for weight in rule(scores).tolist()])

# %% routing_market, RoutingRule, Routers, Load
from transformers import MixtralConfig, MixtralForCausalLM

from walras.models.routing import CapacityPrice, Load, Routers, RoutingRule, routing_market

sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
mixture = MixtralForCausalLM(MixtralConfig(vocab_size=50, num_hidden_layers=2, num_local_experts=4, **sizes))
rule, load = CapacityPrice(capacity=1.0), Load()
assert isinstance(rule, RoutingRule)
with routing_market(mixture.train(), rule, watch=lambda layer, logits, found: load.add(found)) as routers:
    ids = torch.arange(48).view(4, 12)
    mixture(input_ids=ids, labels=ids).loss.backward()
    routers.learn()  # once a step: prices are remembered, and posted at evaluation
assert isinstance(routers, Routers)
print("tokens of each expert:", load.experts.tolist(), "- prices:", [r.learned is not None for r in routers.rules])

# %% ROUTING_RULES
from walras.models.routing import ROUTING_RULES

print(list(ROUTING_RULES))

# %% TopExperts, ExpertChoice, BalancedAssignment, LossFreeBias, PostedPrices, CapacityPrice
from walras.models.routing import (
    BalancedAssignment,
    CapacityPrice,
    ExpertChoice,
    LossFreeBias,
    PostedPrices,
    TopExperts,
)

logits = torch.tensor([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [2.5, 0.0, 1.0]])  # every token likes the first expert best
posted = PostedPrices(torch.tensor([1.5, 0.0, 0.0]))
for rule in (TopExperts(), ExpertChoice(), BalancedAssignment(), LossFreeBias(), posted, CapacityPrice(capacity=2)):
    found = rule(logits, k=1)
    print(
        f"{type(rule).__name__:18}", found.chosen.int().tolist(), None if found.price is None else found.price.tolist()
    )

# %% Allotment, RoutingMarket
from walras.models.routing import Allotment, CapacityPrice, RoutingMarket

logits = torch.tensor([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [2.5, 0.0, 1.0]])
rule = CapacityPrice(capacity=1.0)
assert isinstance(rule(logits, k=1), Allotment)
market = rule.market(logits, k=1)  # the same as a market of the general mechanisms
assert isinstance(market, RoutingMarket)
sold = market.mechanism(market.bids, market.supply, market.cost)
print(type(market.mechanism).__name__, torch.equal(rule.settle(sold.quantity, (3, 3)), rule(logits, k=1).chosen))

# %% Budget, temperature_for_support, price_for_support, price_for_mass
from walras.models.attention import Budget, price_for_mass, price_for_support, temperature_for_support

scores = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
found = temperature_for_support(scores, k=3)  # of sparsemax, so that a query looks at 3 keys on average
assert isinstance(found, Budget)
print(round(float(found.setting), 2), round(found.reached, 2))
print(round(price_for_support(scores, k=3).reached, 2), round(price_for_mass(scores, mass=0.5).reached, 2))

# %% NetworkLevels, SublayerLevels, equal_steps
from walras.models import macs
from walras.models.levels import NetworkLevels, SublayerLevels, equal_steps

levels = NetworkLevels.from_model(model, macs(model, units, 8), [batch], counts=equal_steps(4))
first = levels.sublayers[0]
assert isinstance(first, SublayerLevels)
print("units kept", first.kept, "MACs", first.cost.astype(int).tolist(), "errors", first.errors.round(3).tolist())
choice = [2] * len(levels)  # a half of every sub-layer
with torch.no_grad():
    before = model(**batch).last_hidden_state
    with levels.placed(model, choice):
        print(f"{levels.cost(choice) / levels.dense:.2f} of the MACs, output moved:", not torch.equal(
            model(**batch).last_hidden_state, before))  # fmt: skip
    print("as it was:", torch.equal(model(**batch).last_hidden_state, before))

# %% StructuredOBS, refitted
from walras.models.surgeon import StructuredOBS, refitted

weight, moment = torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 1.0], [1.0, 2.0]])
surgeon = StructuredOBS.from_moment(weight, moment)
print("first to leave:", int(surgeon.order[0]), "errors:", surgeon.errors.round(3).tolist())
print("the other one becomes", refitted(weight, moment, torch.tensor([0])).tolist())
