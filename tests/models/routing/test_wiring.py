"""Routing rules in real mixtures of experts of every family."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from walras.errors import InputError
from walras.models import compact, gated, inventory
from walras.models.routing import (
    ROUTING_RULES,
    Allotment,
    CapacityPrice,
    ExpertChoice,
    Load,
    LossFreeBias,
    PostedPrices,
    TopExperts,
    routing_market,
)
from walras.models.units.mixtures import MixtureLayer

IMPLEMENTATIONS = ["eager", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("batched_mm", "grouped_mm"))]


@pytest.mark.parametrize("experts", IMPLEMENTATIONS)
def test_top_experts_is_the_stock_router_bit_by_bit(moe: str, experts: str, tiny: Any) -> None:
    tested = tiny(moe, experts=experts)
    with torch.no_grad():
        stock = tested.logits()
        with routing_market(tested.model, TopExperts()):
            assert torch.equal(tested.logits(), stock)
        with routing_market(tested.model, "expert-choice"):
            assert torch.equal(tested.logits(), stock)  # in evaluation mode its tokens choose
        assert torch.equal(tested.logits(), stock)


@pytest.mark.spread
@pytest.mark.parametrize("experts", IMPLEMENTATIONS)
def test_every_rule_trains(moe: str, experts: str, tiny: Any) -> None:
    tested = tiny(moe, experts=experts)
    model = tested.model.train()
    for name in ROUTING_RULES:
        seen: dict[int, Load] = {}

        def watch(layer: int, z: Tensor, found: Allotment, seen: dict[int, Load] = seen) -> None:
            assert found.chosen.shape == z.shape
            seen.setdefault(layer, Load()).add(found)

        with routing_market(model, name, watch) as routers:
            loss = tested.logits().square().mean()
            loss.backward()
            routers.learn()
        mixtures = [layer.index for layer in routers.layers]
        assert list(seen) == mixtures
        if name in ("expert-choice", "balanced-assignment"):
            assert max(load.violation for load in seen.values()) < 0.2
        assert all(
            (rule.learned is not None) == (name in ("loss-free-bias", "capacity-price")) for rule in routers.rules
        )
        weight = MixtureLayer.of_layer(routers.layers[0]).router.weight
        assert bool(weight.grad.isfinite().all())
        assert float(weight.grad.abs().max()) > 0
        model.zero_grad()
    assert not any(m._forward_hooks for m in model.modules())


def by_hand(model: Any, x: Tensor, chosen: Tensor) -> Tensor:
    """What a Mixtral's layer 0 adds for states [tokens, hidden]: shares of the chosen, renormalised, times outputs."""
    block = model.model.layers[0].mlp
    shares = (x @ block.gate.weight.T).softmax(-1) * chosen
    shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-30)
    total = torch.zeros_like(x)
    for e in range(5):
        gate, up = (x @ block.experts.gate_up_proj[e].T).chunk(2, -1)
        total += shares[:, e : e + 1] * ((torch.nn.functional.silu(gate) * up) @ block.experts.down_proj[e].T)
    return total


@pytest.mark.parametrize("experts", IMPLEMENTATIONS)
@pytest.mark.parametrize("rule", [ExpertChoice(0.7), CapacityPrice(1.0)], ids=repr)
def test_what_a_layer_adds_by_hand(rule: Any, experts: str, tiny: Any) -> None:
    tested = tiny("mixtral", experts=experts)
    seen: dict[str, Any] = {}
    block = tested.model.model.layers[0].mlp
    handle = block.register_forward_hook(lambda _, args, out: seen.update(x=args[0], out=out))
    with (
        torch.no_grad(),
        routing_market(tested.model.train(), rule, lambda i, z, a: seen.setdefault("chosen", a.chosen)),
    ):
        tested.logits()
    handle.remove()
    x = seen["x"].flatten(0, 1)
    counts = seen["chosen"].sum(1)
    if isinstance(rule, ExpertChoice):
        assert (int(counts.min()), len(counts.unique()) > 2) == (0, True)  # some have none, others one or more
    with torch.no_grad():
        torch.testing.assert_close(
            seen["out"].flatten(0, 1), by_hand(tested.model, x, seen["chosen"]), rtol=0, atol=1e-5
        )


def test_what_was_learned_goes_on_and_decides_at_evaluation(tiny: Any) -> None:
    tested = tiny("mixtral")
    model = tested.model
    with torch.no_grad():
        stock = tested.logits()
        with routing_market(model.train(), LossFreeBias(5.0)) as routers:
            tested.logits()
            routers.learn()
            routers.learn()  # nothing new has been seen
            learned: list[Any] = [rule.learned for rule in routers.rules]
        assert {abs(p) for prices in learned for p in prices.tolist()} <= {0.0, 5.0}
        with routing_market(model.eval(), [LossFreeBias(learned=prices) for prices in learned]) as routers:
            moved = tested.logits()
            routers.learn()
            assert all(rule.learned is prices for rule, prices in zip(routers.rules, learned, strict=True))
        assert not torch.equal(moved, stock)
        with routing_market(model, [PostedPrices(prices) for prices in learned]):
            assert torch.equal(tested.logits(), moved)


def test_gates_and_experts_that_were_cut_out_take_no_part(tiny: Any) -> None:
    tested = tiny("mixtral", dtype=torch.float64)
    units = inventory(tested.model)
    keep = np.array([units.name(i) not in ("L0.E1", "L1.E0", "L1.E1", "L1.E2", "L1.E3") for i in range(len(units))])
    small = compact(tested.model, units, keep)
    shapes = []
    for rule in ("capacity-price:capacity=1", "expert-choice"):
        with torch.no_grad():
            tested.model.train()
            with routing_market(tested.model, rule), gated(tested.model, units, torch.from_numpy(keep).double()):
                closed = tested.logits()
            with gated(tested.model, units, torch.from_numpy(keep).double()), routing_market(tested.model, rule):
                assert torch.equal(tested.logits(), closed)
            with routing_market(small.train(), rule, lambda i, z, a: shapes.append(z.shape[1])):
                torch.testing.assert_close(tested.logits(small), closed, rtol=0, atol=1e-6)
    assert shapes == [4, 1, 5] * 2


def test_bad_input(tiny: Any) -> None:
    with (
        pytest.raises(InputError, match="LlamaForCausalLM has no mixture of experts"),
        routing_market(tiny("llama").model, "top-experts"),
    ):
        pass
    model = tiny("mixtral").model
    with pytest.raises(InputError, match="2 routing rules for 3 mixtures"), routing_market(model, [TopExperts()] * 2):
        pass
    assert not any(m._forward_hooks for m in model.modules())


def test_a_configuration_with_fewer_experts_than_k(tiny: Any) -> None:
    model = tiny("mixtral").model
    model.model.layers[1].mlp.gate.top_k = 6
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.gate gives each token 6 of 5 experts; valid: 1 to 5"):
        inventory(model)
