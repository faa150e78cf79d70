import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import Inventory, attach, compact, gated, inventory
from walras.models.units.gates import hooked
from walras.models.units.inventory import sites_and_layers
from walras.models.units.kinds.expert import Experts
from walras.models.units.weights import fold, output_weights

Keep = NDArray[np.bool_]
OTHERS = [pytest.param(name, marks=pytest.mark.nightly) for name in ("batched_mm", "grouped_mm")]
EVERYWHERE = ["eager", *OTHERS]  # transformers' ways to compute experts


def masks(units: Inventory) -> list[Keep]:
    """Random sets; ones with fewer experts than a token gets, with none in a layer, with none at all; nothing."""
    draw = np.random.default_rng(3)
    n, experts = len(units), units.kind == "expert"
    last = units.layer == units.layer[experts].max()
    return [
        draw.random(n) < 0.8,
        ~experts | (units.index == 2),
        (draw.random(n) < 0.7) & ~(experts & last),
        ~experts,
        np.zeros(n, dtype=bool),
    ]


def _random_gates(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1.5


def _hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hooks_that_cannot_all_be_set_are_not_left_behind(tiny: Any) -> None:
    """Heads can be watched, the experts after them refuse: the model is left as it was."""
    model = tiny("mixtral").model
    places = sites_and_layers(model, inventory(model))
    watched = (site.kind.watch(layer, site, lambda x: None) for site, layer in places)
    with pytest.raises(InputError, match="experts have no features for each token"), hooked(watched):
        pass
    assert _hooks(model) == 0


def test_mixtral_by_hand(tiny: Any) -> None:
    model = tiny("mixtral").model  # 6 query heads in 3 groups, 5 experts of 40 neurons, 2 for each token
    units = inventory(model)
    assert len(units) == 3 * (3 + 5)
    assert units.kinds == ("head", "expert")
    assert [units.name(i) for i in (0, 3, 7, 8, 23)] == ["L0.H0", "L0.E0", "L0.E4", "L1.H0", "L2.E4"]
    assert units.width[3:8].tolist() == [40] * 5
    assert units.index[3:8].tolist() == [0, 1, 2, 3, 4]
    assert (units.sites[1].path, units.sites[1].layer) == ("model.layers.0.mlp.experts", 0)
    keep = np.ones(len(units), dtype=bool)
    keep[[3, 5, 19, 20, 21, 22]] = False
    small: Any = compact(model, units, keep)
    layers = small.model.layers
    assert [layer.mlp.experts.gate_up_proj.shape[0] for layer in layers] == [3, 5, 1]
    assert [layer.mlp.gate.weight.shape[0] for layer in layers] == [3, 5, 1]
    assert [layer.mlp.gate.top_k for layer in layers] == [2, 2, 1]
    assert torch.equal(layers[0].mlp.experts.down_proj, model.model.layers[0].mlp.experts.down_proj[[1, 3, 4]])
    assert [inventory(small).name(i) for i in (3, 5)] == ["L0.E0", "L0.E2"]


def test_layers_may_be_dense_and_an_expert_be_shared(tiny: Any) -> None:
    units = inventory(tiny("qwen2_moe").model, block=8)  # layer 1 is dense, others have a shared expert
    found = [(site.layer, site.kind.name, site.path.partition(f"layers.{site.layer}.")[2]) for site in units.sites]
    assert [part for part in found if part[1] != "head"] == [
        (0, "ffn", "mlp.shared_expert.down_proj"),
        (0, "expert", "mlp.experts"),
        (1, "ffn", "mlp.down_proj"),
        (2, "ffn", "mlp.shared_expert.down_proj"),
        (2, "expert", "mlp.experts"),
    ]
    layers = [site.layer for site in inventory(tiny("qwen3_moe").model).sites if site.kind.name == "ffn"]
    assert layers == [0]  # those above are mixtures without a shared one


def test_heads_with_a_norm_over_all_queries_are_one_unit(tiny: Any) -> None:
    model = tiny("olmoe").model
    units = inventory(model, ["head"])
    assert [units.name(i) for i in range(len(units))] == ["L0.H0", "L1.H0", "L2.H0"]
    assert units.width.tolist() == [24] * 3


@pytest.mark.spread
@pytest.mark.parametrize("experts", EVERYWHERE)
def test_ones_leave_the_logits_exactly_equal(moe: str, attention: str, experts: str, tiny: Any) -> None:
    tested = tiny(moe, attention, experts=experts)
    units = inventory(tested.model, block=8)
    with torch.no_grad():
        dense = tested.logits()
    for gates, rows in (
        (torch.ones(len(units)), 1),
        (torch.ones(4, len(units), requires_grad=True), 1),
        (torch.ones(2, len(units), dtype=torch.float64), 2),
    ):
        with gated(tested.model, units, gates, rows):
            assert torch.equal(tested.logits().detach(), dense)


def _assert_equal_to_sliced(tested: Any, tolerance: float, some: slice) -> None:
    units = inventory(tested.model, block=8)
    with torch.no_grad():
        for keep in masks(units)[some]:
            with gated(tested.model, units, torch.from_numpy(keep).float()):
                zeroed = tested.logits()
            sliced = tested.logits(compact(tested.model, units, keep))
            assert bool(torch.isfinite(zeroed).all())
            torch.testing.assert_close(sliced, zeroed, rtol=0, atol=tolerance)


@pytest.mark.spread
def test_zeros_equal_slicing(moe: str, attention: str, tiny: Any) -> None:
    # In float64 but for routers, norms and softmax, which are float32 whatever the network is.
    _assert_equal_to_sliced(tiny(moe, attention, torch.float64), 1e-6, slice(None))


@pytest.mark.parametrize("experts", OTHERS)
def test_zeros_equal_slicing_however_experts_are_computed(moe: str, experts: str, tiny: Any) -> None:
    # float32: a few roundings of logits of about 4; grouped_mm takes no float64
    _assert_equal_to_sliced(tiny(moe, experts=experts), 1e-5, slice(1, 3))


def test_gradients_reach_every_gate_and_are_right(moe: str, tiny: Any) -> None:
    tested = tiny(moe, "eager", torch.float64)
    units = inventory(tested.model, block=8)
    gates = (0.5 + _random_gates(len(units)) / 1.5).requires_grad_()

    def loss(at: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The loss, and which experts tokens were given."""
        chosen: list[Tensor] = []
        with gated(tested.model, units, at):
            routers = [m for m in tested.model.modules() if type(m).__name__.endswith("Router")]
            handles = [m.register_forward_hook(lambda _, __, output: chosen.append(output[2])) for m in routers]
            result: Tensor = tested.logits().square().mean()
            for handle in handles:
                handle.remove()
        return result, chosen

    before, chosen = loss(gates)
    (slope,) = torch.autograd.grad(before, gates)
    sites = [site for site in units.sites if site.kind.name == "expert"]
    used = torch.ones(len(units), dtype=torch.bool)
    for site, index in zip(sites, chosen, strict=True):
        used[site.units] = torch.isin(torch.arange(len(site)), index)
    assert bool((slope[used] != 0).all())
    assert bool(slope.isfinite().all())
    compared = 0
    with torch.no_grad():
        for unit in np.flatnonzero(units.kind == "expert").tolist():  # a central difference
            step = torch.zeros_like(gates)
            step[unit] = 1e-3
            (above, up), (below, down) = loss(gates + step), loss(gates - step)
            if all(torch.equal(one, two) for one, two in zip(up, down, strict=True)):  # no token changed its experts
                measured = (above - below) / 2e-3
                torch.testing.assert_close(measured, slope[unit], rtol=0.01, atol=2e-3 * float(slope.abs().max()))
                compared += 1
    assert compared >= 4


def test_gradients_are_finite_with_experts_gone(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    for keep in masks(units)[:4]:
        gates = torch.from_numpy(keep).float().requires_grad_()
        with gated(tested.model, units, gates):
            (slope,) = torch.autograd.grad(tested.logits().square().mean(), gates)
        assert bool(slope.isfinite().all())
        assert bool((slope != 0).any())


@pytest.mark.spread
@pytest.mark.parametrize("rows", [1, 2])
def test_gates_of_their_own_equal_a_loop_over_samples(moe: str, rows: int, tiny: Any) -> None:
    tested = tiny(moe, "eager", torch.float64)
    units = inventory(tested.model, block=8)
    gates = (
        _random_gates(4 // rows, len(units)) * (_random_gates(4 // rows, len(units)).flip(0) > 0.3)
    ).requires_grad_()
    with gated(tested.model, units, gates, rows):
        together = tested.logits()
    (slopes,) = torch.autograd.grad(together.square().sum(), gates)
    for sample in range(len(gates)):
        own = gates[sample].detach().requires_grad_()
        part = {name: x[sample * rows : (sample + 1) * rows] for name, x in tested.batch.items()}
        with gated(tested.model, units, own):
            alone = tested.logits(**part)
        (slope,) = torch.autograd.grad(alone.square().sum(), own)
        torch.testing.assert_close(together[sample * rows : (sample + 1) * rows], alone, rtol=0, atol=2e-6)
        torch.testing.assert_close(slopes[sample], slope, rtol=1e-4, atol=1e-4)


def test_the_auxiliary_loss_takes_layers_of_different_sizes(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    asked = {**tested.batch, "labels": tested.batch["input_ids"], "output_router_logits": True}
    stock = tested.model(**asked).router_logits[0].shape
    for keep in masks(units)[:3]:
        for network, gates in (
            (compact(tested.model, units, keep), None),
            (tested.model, torch.from_numpy(keep).float()),
        ):
            with gated(tested.model, units, torch.ones(len(units)) if gates is None else gates):
                found = network(**asked)
            assert bool(found.aux_loss.isfinite())
            assert bool(found.loss.isfinite())
            assert {logits.shape for logits in found.router_logits} == {stock}


def test_a_gate_below_zero_is_refused(tiny: Any) -> None:
    tested = tiny("mixtral")
    units = inventory(tested.model)
    gates = torch.ones(2, len(units))
    gates[1, 4] = -0.5
    with pytest.raises(InputError, match=r"gate of L0.E1 is -0.5; valid for experts: 0 or more"):
        attach(tested.model, units, gates)
    gates[1, 4] = 1
    gates[0, 1] = -0.5  # of a head
    attach(tested.model, units, gates).remove()


def test_hooks_are_gone_afterwards_and_other_batches_refused(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model)
    before = _hooks(tested.model)
    with gated(tested.model, units, torch.ones(5, len(units))):
        assert _hooks(tested.model) == before + len(units.sites)
        with pytest.raises(InputError, match="5 samples of 1 rows are 5 rows, not"):
            tested.logits()
    assert _hooks(tested.model) == before


def test_an_inventory_of_another_model_is_refused(tiny: Any) -> None:
    model = tiny("mixtral").model
    units = inventory(model)
    keep = np.ones(len(units), dtype=bool)
    keep[4] = False
    with pytest.raises(InputError, match=r"layers.0.mlp.experts has 4 experts where the inventory has 5"):
        attach(compact(model, units, keep), units, torch.ones(len(units)))
    with pytest.raises(InputError, match=r"mlp\.experts has 0 experts where the inventory has 5"):
        attach(tiny("llama").model, units, torch.ones(len(units)))


def test_sliced_twice_equals_sliced_once(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    draw = np.random.default_rng(7)
    first = draw.random(len(units)) < 0.8
    second = first & (draw.random(len(units)) < 0.6)
    once = compact(tested.model, units, second)
    half = compact(tested.model, units, first)
    twice = compact(half, inventory(half, block=8), second[first])
    with torch.no_grad():
        torch.testing.assert_close(tested.logits(twice), tested.logits(once), rtol=0, atol=1e-5)
    assert [p.shape for p in twice.parameters()] == [p.shape for p in once.parameters()]


def test_small_weights_load_into_a_skeleton_and_train(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    for keep in masks(units)[1:3]:
        small = compact(tested.model, units, keep)
        stock = type(tested.model)(copy.deepcopy(tested.model.config)).eval()
        skeleton = compact(stock, inventory(stock, block=8), keep)
        skeleton.load_state_dict(small.state_dict(), strict=True)
        with torch.no_grad():
            assert torch.equal(tested.logits(skeleton), tested.logits(small))
        tested.logits(skeleton.train()).square().mean().backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in skeleton.parameters() if p.grad is not None)


@pytest.mark.nightly
def test_generation_with_a_cache(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    prompt = {name: x[:1, :5] for name, x in tested.batch.items()}
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    for keep in masks(units)[:3]:
        small: Any = compact(tested.model, units, keep)
        with gated(tested.model, units, torch.from_numpy(keep).float()):
            expected = tested.model.generate(**prompt, **told, use_cache=False)
        assert torch.equal(small.generate(**prompt, **told, use_cache=True), expected)


def test_what_experts_write_and_what_they_cannot_do(tiny: Any) -> None:
    model = tiny("olmoe").model
    units = inventory(model, ["expert"])
    (site, weight), *_ = output_weights(model, units)
    assert weight.shape == (24, 5 * 40)
    assert torch.equal(weight[:, 40:80], model.model.layers[0].mlp.experts.down_proj[1])
    assert site.owner[[0, 40, 199]].tolist() == [0, 1, 4]
    assert site.kind == Experts()
    with pytest.raises(InputError, match="kind 'expert' cannot be folded"):
        fold(model, units, torch.full((len(units),), 0.5))


def test_an_expert_market_on_a_dense_network_is_refused(tiny: Any) -> None:
    with pytest.raises(InputError, match="LlamaForCausalLM has no units of kind 'expert'; it has: head, ffn"):
        inventory(tiny("llama").model, ["head", "expert"])
    with pytest.raises(InputError, match="MixtralForCausalLM has no units of kind 'ffn'; it has: head, expert"):
        inventory(tiny("mixtral").model, ["ffn"])
