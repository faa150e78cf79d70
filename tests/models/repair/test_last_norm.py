"""The norm in front of a language model's head: closer predictions, the curvature of its formula, and who has none."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from walras.models import compact, gated, inventory
from walras.models.objective import Batch
from walras.models.repair.last_norm import _Fit, last_norms, refit_last_norm
from walras.models.repair.repair import repairable_copy

LANGUAGE = ["llama", "gpt2", "gpt_neox", "qwen3", "gemma3_text", "mixtral"]


def rows_of(tested: Any) -> list[Batch]:
    return [tested.row(i) for i in range(4)]


def divergence(tested: Any, model: nn.Module) -> float:
    """KL(dense || model) of the next token, mean over the real tokens."""
    q, p = (tested.logits(m).detach().double().log_softmax(-1) for m in (tested.model, model))
    found: Tensor = (q.exp() * (q - p)).sum(-1)[tested.batch["attention_mask"].bool()].mean()
    return float(found)


def disturbed(tested: Any) -> nn.Module:
    """A copy with another last norm, and nothing else."""
    model: nn.Module = repairable_copy(tested.model, inventory(tested.model))
    (norm,) = last_norms(model)
    with torch.no_grad():
        norm.get_parameter("weight").mul_(1 + 0.2 * torch.randn(24, generator=torch.Generator().manual_seed(1)))
    return model


def refit(tested: Any, model: nn.Module, ridge: float = 1e-3, seed: int = 0) -> Any:
    return refit_last_norm(model, tested.model, rows_of(tested), ridge, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("language", LANGUAGE)
def test_steps_lead_back_to_the_dense_norm(language: str, tiny: Any) -> None:
    """Nothing but the norm differs, so that the least divergence is 0; every step says what it found."""
    tested = tiny(language)
    before = tested.model.state_dict()
    kept, model = {name: tensor.clone() for name, tensor in before.items()}, disturbed(tested)
    at_first = divergence(tested, model)
    for seed in range(6):
        now = divergence(tested, model)
        found = refit(tested, model, seed=seed)
        assert found.before == pytest.approx(now, rel=1e-2, abs=1e-6)
        assert found.after == pytest.approx(divergence(tested, model), rel=1e-2, abs=1e-6)
        assert found.after <= found.before
    assert divergence(tested, model) < 0.03 * at_first  # few tokens, and the curvature is drawn
    assert all(torch.equal(tensor, kept[name]) for name, tensor in tested.model.state_dict().items())
    (norm,) = last_norms(model)
    own = {f"{path}.{name}" for path, m in model.named_modules() if m is norm for name, _ in m.named_parameters()}
    now_all = model.state_dict()
    assert {name for name in now_all if not torch.equal(now_all[name], kept[name])} <= own


@pytest.mark.parametrize("language", ["llama", "gpt2"])
def test_slope_and_curvature_are_those_of_the_divergence(language: str, tiny: Any) -> None:
    """Against automatic differentiation; at the dense norm the Fisher information is the divergence's Hessian."""
    tested = tiny(language, dtype=torch.float64)
    head = tested.model.get_output_embeddings()
    torch.manual_seed(0)
    x, bias = torch.randn(6, 24, dtype=torch.float64), language == "gpt2"
    wanted = torch.randn(6, 24, dtype=torch.float64)
    first = torch.zeros(48 if bias else 24, dtype=torch.float64)

    def kl(change: Tensor) -> Tensor:
        read = wanted + (x * change[:24] + change[24:] if bias else x * change)
        q, p = head(wanted).log_softmax(-1), head(read).log_softmax(-1)
        found: Tensor = (q.exp() * (q - p)).sum(-1).mean()
        return found

    def slope_of(change: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(kl(change), change, create_graph=True)
        return found

    fit = _Fit(head, head, x, wanted, wanted)
    other = 0.3 * torch.randn_like(first)
    with torch.no_grad():
        value, slope, _ = fit.scored(other, torch.Generator().manual_seed(0))
        assert value == pytest.approx(fit.divergence(other)) == pytest.approx(float(kl(other)))
        draws = [fit.scored(first, torch.Generator().manual_seed(seed))[2] for seed in range(400)]
    first.requires_grad_()
    torch.testing.assert_close(slope, slope_of(other.requires_grad_()).detach(), rtol=1e-9, atol=1e-12)
    slopes = slope_of(first)
    hessian = torch.stack([torch.autograd.grad(one, first, retain_graph=True)[0] for one in slopes])
    assert float((torch.stack(draws).mean(0) - hessian).norm() / hessian.norm()) < 0.1


@pytest.mark.parametrize("language", LANGUAGE)
def test_a_pruned_network_predicts_better_and_keeps_it_when_it_is_cut(language: str, tiny: Any) -> None:
    tested = tiny(language)
    units, model = inventory(tested.model, block=8), repairable_copy(tested.model, inventory(tested.model))
    keep = np.random.default_rng(0).random(len(units)) < 0.7
    keep[[site.units.start for site in units.sites]] = True
    before = divergence(tested, compact(model, units, keep))
    with gated(model, units, torch.tensor(keep, dtype=torch.float32)):
        found = refit(tested, model, ridge=1.0)
    assert 0 <= found.after < found.before == pytest.approx(before, rel=1e-3)
    assert divergence(tested, compact(model, units, keep)) == pytest.approx(found.after, rel=1e-3)


def test_a_pull_without_end_leaves_the_norm_where_it_is(tiny: Any) -> None:
    tested = tiny("llama")
    model = repairable_copy(tested.model, inventory(tested.model, block=8))
    before = copy.deepcopy(model.state_dict())
    refit(tested, model, ridge=1e12)
    assert all(torch.allclose(tensor, before[name], atol=1e-6) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("language", ["llama", "gpt2"])
def test_the_pull_is_towards_the_dense_norm(language: str, tiny: Any) -> None:
    """So strong that nothing else counts, it undoes in one step whatever an earlier round did."""
    tested = tiny(language)
    model = disturbed(tested)
    refit(tested, model, ridge=1e9)
    (norm,), (dense,) = last_norms(model), last_norms(tested.model)
    torch.testing.assert_close(norm.state_dict(), dense.state_dict(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("language", ["bert", "vit", "whisper", "opt"])
def test_networks_without_such_a_norm_stay_as_they_are(language: str, tiny: Any) -> None:
    tested = tiny(language)
    model = copy.deepcopy(tested.model)
    rows = [{name: tensor[:1] for name, tensor in tested.batch.items()}]
    assert refit_last_norm(model, tested.model, rows, 1.0, torch.Generator()) is None
    assert all(torch.equal(tensor, tested.model.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_logits_that_the_head_does_not_write_are_left_alone(tiny: Any) -> None:
    """Granite divides them by a number of its own."""
    tested = tiny("granitemoe")
    tested.model.config.logits_scaling = 3.0
    model = disturbed(tested)
    network: Any
    for network in (tested.model, model):
        network.config.logits_scaling = 3.0
        if hasattr(network, "logits_scaling"):
            network.logits_scaling = 3.0
    assert refit(tested, model) is None


def test_half_precision_is_kept(tiny: Any) -> None:
    tested = tiny("llama", dtype=torch.bfloat16)
    model = disturbed(tested)
    before = divergence(tested, model)
    refit(tested, model)
    assert divergence(tested, model) < before
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
