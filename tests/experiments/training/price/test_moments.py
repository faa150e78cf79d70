"""An optimizer goes on from its moments when units are cut out."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from walras.experiments.training.price.moments import Moments
from walras.models import Inventory, compact, gated, inventory
from walras.models.units.weights import fold

SIZES = {
    "vocab_size": 41, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20,
    "max_position_embeddings": 32, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "num_labels": 3,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {}, "gpt2": {"n_inner": 20}, "llama": {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4}
}  # fmt: skip
IDS = torch.randint(4, 41, (5, 7), generator=torch.Generator().manual_seed(0))


def _network(family: str) -> tuple[nn.Module, Inventory]:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**SIZES, **FAMILIES[family]})
    kind: Any = AutoModelForSequenceClassification
    model: nn.Module = kind.from_config(config).double().eval()
    return model, inventory(model, block=6)


def _loss(model: nn.Module) -> Tensor:
    loss: Tensor = model(input_ids=IDS).logits.square().mean()
    return loss


def _adam(model: nn.Module, **more: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, **more)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("emptied", [False, True], ids=["some", "a-sub-layer"])
def test_moments_are_those_of_the_smaller_networks_gradients(family: str, emptied: bool) -> None:
    """With no memory beyond the last step, the moments of the cut network are its gradients and their squares."""
    model, units = _network(family)
    keep = torch.ones(len(units), dtype=torch.bool)
    keep[[1, -1]] = False
    if emptied:
        keep[units.sites[1].units] = False
    gates = torch.where(keep, 0.25 + torch.arange(len(units)).double() / len(units), 1.0)
    optimizer, before = _adam(model, betas=(0.0, 0.0)), copy.deepcopy(model)
    with gated(model, units, torch.where(keep, gates, 0.0)):
        torch.autograd.backward(_loss(model))
        optimizer.step()
    moments = Moments.kept(optimizer, model, units, keep, gates)
    fold(before, units, gates)
    small = compact(before, units, keep)
    small.zero_grad()
    torch.autograd.backward(_loss(small))
    found = dict(small.named_parameters())
    reached = {name for name, p in found.items() if p.grad is not None}
    known = set(moments.of)  # no gradient reaches what a sub-layer without units has left
    assert known > reached if emptied else known == reached
    for name in reached:
        own, gradient = moments.of[name], found[name].grad
        assert gradient is not None
        torch.testing.assert_close(own["exp_avg"], gradient, rtol=1e-9, atol=1e-15)
        torch.testing.assert_close(own["exp_avg_sq"], gradient.square(), rtol=1e-9, atol=1e-15)
        assert float(own["step"]) == 1.0


def test_training_goes_on_as_if_units_had_only_been_closed() -> None:
    """Step by step the weights are those of the network with closed units; a fresh optimizer's are not."""
    model, units = _network("bert")
    keep = torch.ones(len(units), dtype=torch.bool)
    keep[[0, 4, -1]] = False
    mask, optimizer = keep.double(), _adam(model)
    for _ in range(5):
        _step(model, optimizer, units, mask)
    small, fresh = (compact(model, units, keep) for _ in range(2))
    own, anew = _adam(small), _adam(fresh)
    Moments.kept(optimizer, model, units, keep, torch.ones(len(units))).give(own, small)
    for _ in range(5):
        _step(model, optimizer, units, mask)
        for network, its in ((small, own), (fresh, anew)):
            _step(network, its, inventory(network, block=6), None)
    wanted = dict(compact(model, units, keep).named_parameters())
    for name, weight in small.named_parameters():
        torch.testing.assert_close(weight, wanted[name], rtol=1e-7, atol=1e-11)
    apart = max(float((weight - wanted[name]).detach().abs().max()) for name, weight in fresh.named_parameters())
    assert apart > 1e-3  # a whole rate


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, units: Inventory, mask: Tensor | None) -> None:
    optimizer.zero_grad()
    with gated(model, units, torch.ones(len(units), dtype=torch.float64) if mask is None else mask):
        torch.autograd.backward(_loss(model))
    optimizer.step()
