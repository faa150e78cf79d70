"""Least squares on mixtures of experts: the router's logits, and what experts write."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from walras.models import Inventory, compact, gated, inventory
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.repair import ModelPair, repairable_copy


def _batches(tested: Any) -> list[dict[str, Any]]:
    return [{k: v[i : i + 1] for k, v in tested.batch.items()} for i in range(4)]


def _repaired(tested: Any, units: Inventory, keep: Any, **settings: Any) -> Any:
    model: nn.Module = repairable_copy(tested.model, units)
    with ModelPair.from_models(model, tested.model, units, _batches(tested)) as pair:
        LeastSquares(**settings)(pair, keep)
    return model


def _without(units: Inventory, *gone: str) -> Any:
    return np.array([units.name(i) not in gone for i in range(len(units))])


def _streams(tested: Any, model: nn.Module, units: Inventory, keep: Any, place: int) -> Any:
    """The residual stream after a mixture, and what enters its router."""
    gates = torch.tensor(keep).to(next(model.parameters()).dtype)
    with gated(model, units, gates), LayerwiseRunner(model, [tested.batch]) as runner:
        (seen,) = runner.read(units.sites[place])
    return seen.total, seen.whole


def _error(tested: Any, model: nn.Module, units: Inventory, keep: Any, place: int) -> float:
    now = _streams(tested, model, units, keep, place)[0]
    dense = _streams(tested, tested.model, units, np.ones(len(units), dtype=bool), place)[0]
    return float((now - dense).square().mean())


def test_a_twin_stands_in_for_the_expert_that_left(tiny: Any) -> None:
    """Of the two experts that every token is given alike, and that have the same features, one may leave."""
    tested = tiny("mixtral", dtype=torch.float64)
    units = inventory(tested.model)
    model: Any = compact(tested.model, units, _without(units, "L1.E2", "L1.E3", "L1.E4"))
    layer = model.model.layers[1].mlp
    with torch.no_grad():
        layer.experts.gate_up_proj[1] = layer.experts.gate_up_proj[0]
        layer.gate.weight[1] = layer.gate.weight[0]
    tested = replace(tested, model=model)
    units = inventory(model)
    keep = _without(units, "L1.E1")
    dense = tested.logits().detach()
    assert float((tested.logits(compact(model, units, keep)).detach() - dense).abs().max()) > 1e-2
    repaired = _repaired(tested, units, keep, ridges=(1e-12,), experts=True)
    found, real = tested.logits(compact(repaired, units, keep)).detach(), tested.batch["attention_mask"].bool()
    torch.testing.assert_close(found[real], dense[real], rtol=0, atol=1e-5)  # padding is not fitted


def test_sweeps_end_at_the_joint_ridge_regression(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expert by expert, often enough, against `lstsq` on the features of all experts side by side."""
    monkeypatch.setattr("walras.models.repair.mixtures.SWEEPS", 40)
    tested = tiny("mixtral", dtype=torch.float64)
    units, ridge = inventory(tested.model), 3.0
    keep, place = _without(units, "L0.E1", "L0.E3"), 1
    model = _repaired(tested, units, keep, ridges=(ridge,), experts=True)
    mixture, mask = tested.model.model.layers[0].mlp, tested.batch["attention_mask"].flatten().bool()
    now, x = _streams(tested, tested.model, units, keep, place)
    gap = (_streams(tested, tested.model, units, np.ones(len(units), dtype=bool), place)[0] - now).detach()
    kept = [0, 2, 4]
    assert len(x) == int(mask.sum())
    logits = (x @ mixture.gate.weight.T).detach()
    best = logits[:, kept].topk(2).indices
    shares = logits[:, kept].gather(1, best).softmax(-1)
    columns, pulls = [], []
    for i, expert in enumerate(kept):
        gate, up = (x @ mixture.experts.gate_up_proj[expert].T).detach().chunk(2, -1)
        z = nn.functional.silu(gate) * up * (shares * (best == i)).sum(-1, keepdim=True)
        columns.append(z)
        pulls.append((ridge * z.square().sum(0).mean()).sqrt().expand(z.shape[1]))
    left = torch.cat([torch.cat(columns, 1), torch.diag(torch.cat(pulls))])
    wanted = torch.linalg.lstsq(left, torch.cat([gap, gap.new_zeros(left.shape[1], gap.shape[1])])).solution
    change = model.model.layers[0].mlp.experts.down_proj.detach() - mixture.experts.down_proj.detach()
    # Routers are float32 inside whatever the network is.
    torch.testing.assert_close(torch.cat([change[e].T for e in kept]), wanted, rtol=1e-4, atol=1e-5)
    assert float(wanted.abs().max()) > 1e-2
    assert torch.equal(change[[1, 3]], torch.zeros_like(change[:2]))


def test_the_router_is_that_of_a_direct_solver(tiny: Any) -> None:
    tested = tiny("mixtral", dtype=torch.float64)
    units, ridge = inventory(tested.model), 0.2
    keep = _without(units, "L0.H0", "L0.E2", "L1.E1")
    model = _repaired(tested, units, keep, ridges=(ridge,), router=True)
    place = next(i for i, site in enumerate(units.sites) if (site.layer, site.kind.name) == (0, "expert"))
    before = _streams(tested, tested.model, units, np.ones(len(units), dtype=bool), place)[1].detach()
    after = model.get_submodule("model.layers.0.self_attn.o_proj").weight
    assert not torch.equal(after, tested.model.model.layers[0].self_attn.o_proj.weight)  # heads are re-fitted first
    now = _streams(tested, model, units, keep, place)[1].detach()
    old = tested.model.model.layers[0].mlp.gate.weight.detach()[[0, 1, 3, 4]]
    pull = (ridge * now.square().sum(0).mean()).sqrt() * torch.eye(now.shape[1], dtype=now.dtype)
    gap = (before - now) @ old.T
    wanted = torch.linalg.lstsq(torch.cat([now, pull]), torch.cat([gap, torch.zeros_like(pull[:, :4])])).solution
    found = model.model.layers[0].mlp.gate.weight.detach()
    torch.testing.assert_close(found[[0, 1, 3, 4]] - old, wanted.T, rtol=1e-5, atol=1e-7)
    assert torch.equal(found[2], tested.model.model.layers[0].mlp.gate.weight[2])
    assert float(wanted.abs().max()) > 1e-3


def test_logits_stay_where_nothing_changed_further_down(tiny: Any) -> None:
    tested = tiny("qwen3_moe")
    units = inventory(tested.model)
    model = _repaired(tested, units, _without(units, "L1.E0"), router=True)
    gates = [layer.mlp.gate.weight for layer in (*tested.model.model.layers[1:], *model.model.layers[1:])]
    assert torch.equal(gates[0], gates[2])  # of layer 1, which lost an expert: what enters it is what it was
    assert not torch.equal(gates[1], gates[3])


@pytest.mark.spread
def test_every_family_comes_closer_to_the_dense_network(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, ["expert"])
    keep = units.index % 2 == 0
    last = len(units.sites) - 1
    before = _error(tested, tested.model, units, keep, last)
    repaired = _repaired(tested, units, keep, ridges=(1e-2,), router=True, experts=True)
    assert _error(tested, repaired, units, keep, last) < 0.7 * before
    with gated(repaired, units, torch.tensor(keep).float()), torch.no_grad():
        gated_logits = tested.logits(repaired)
    torch.testing.assert_close(tested.logits(compact(repaired, units, keep)).detach(), gated_logits, rtol=0, atol=1e-5)


def test_the_dense_network_keeps_its_weights_and_shares_the_rest(tiny: Any) -> None:
    tested = tiny("granitemoe")
    units = inventory(tested.model)
    before = {name: p.detach().clone() for name, p in tested.model.named_parameters()}
    model = _repaired(tested, units, _without(units, "L0.E0", "L0.H1"), router=True, experts=True)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert {name.partition("layers.")[2][2:] for name in changed} == {
        "self_attn.o_proj.weight", "self_attn.o_proj.bias", "block_sparse_moe.router.weight",
        "block_sparse_moe.experts.down_proj",
    }  # fmt: skip
    for name, parameter in tested.model.named_parameters():
        assert torch.equal(parameter, before[name])
        shared = parameter.data_ptr() == model.get_parameter(name).data_ptr()
        own = ("o_proj.weight", "o_proj.bias", "router.weight", "experts.down_proj", "model.norm.weight")
        assert shared != name.endswith(own)


def test_a_mixture_without_experts_and_one_that_got_no_token_are_left_alone(tiny: Any) -> None:
    tested = tiny("mixtral")
    units = inventory(tested.model)
    keep = ~((units.kind == "expert") & (units.layer == 0))
    with torch.no_grad():
        tested.model.model.layers[1].mlp.gate.weight[3] = 0
        tested.model.model.layers[1].mlp.gate.weight[:3] *= 100
    model = _repaired(tested, units, keep, router=True, experts=True)
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    ours, theirs = model.model.layers[0].mlp, tested.model.model.layers[0].mlp
    assert torch.equal(ours.experts.down_proj, theirs.experts.down_proj)
    assert torch.equal(ours.gate.weight, theirs.gate.weight)
