"""Eq. 2 does what the paper's proofs say it does not: its attention term is a constant, its FFN term can be evaded."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walras.models import inventory
from walras.models.objective import Batch
from walras.models.resources.activation_cost import ActivationCost

Make = Callable[..., Any]


def measured(cost: ActivationCost, model: nn.Module, batch: Batch) -> Tensor:
    with cost.measured(model) as spent:
        model(**batch)
        return spent(batch)


@pytest.fixture
def bert(tiny: Make) -> Any:
    return tiny("bert", dtype=torch.float64)


def test_the_literal_attention_term_is_a_constant_without_gradient(tiny: Make, family: str) -> None:
    """D2: rows of A are nonnegative and sum to 1. What is left of the gradient is rounding."""
    made = tiny(family, dtype=torch.float64)
    spent = measured(ActivationCost(inventory(made.model), False, ffn=False), made.model, made.batch)
    assert spent.item() == pytest.approx(1.0, abs=1e-12)
    weights = [p for p in made.model.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(spent, weights, allow_unused=True)
    assert max(float(s.abs().max()) for s in slopes if s is not None and s.numel()) < 1e-14
    ffn = measured(ActivationCost(inventory(made.model), False, heads=False), made.model, made.batch)
    moved = torch.autograd.grad(ffn, weights, allow_unused=True)
    assert max(float(s.abs().max()) for s in moved if s is not None and s.numel()) > 1e-4  # the other term has one


def test_scaling_evades_the_literal_term_and_not_the_invariant_one(tiny: Make) -> None:
    """D3, with ReLU: W1 c, b1 c, W2 / c is the same network at c times the literal cost."""
    made = tiny("opt", dtype=torch.float64)  # its activation is ReLU
    units = inventory(made.model)
    costs = [ActivationCost(units, invariant, heads=False) for invariant in (False, True)]
    before, output = [measured(c, made.model, made.batch).item() for c in costs], made.logits()
    with torch.no_grad():
        for layer in made.model.model.decoder.layers:
            layer.fc1.weight *= 1e-3
            layer.fc1.bias *= 1e-3
            layer.fc2.weight *= 1e3
    after = [measured(c, made.model, made.batch).item() for c in costs]
    torch.testing.assert_close(made.logits(), output, rtol=1e-9, atol=1e-9)
    assert after[0] == pytest.approx(1e-3 * before[0])
    assert after[1] == pytest.approx(before[1])


def test_by_hand(bert: Any) -> None:
    """Means over real tokens, neurons and layers, computed from the activations themselves."""
    units, layers = inventory(bert.model, block=8), bert.model.bert.encoder.layer
    seen: list[Tensor] = []
    handles = [
        layer.output.dense.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach())) for layer in layers
    ]
    bert.logits()
    for handle in handles:
        handle.remove()
    real = bert.batch["attention_mask"].bool()
    expected = sum(float(x[real].abs().mean()) for x in seen) / len(layers)
    found = measured(ActivationCost(units, False, heads=False), bert.model, bert.batch)
    assert found.item() == pytest.approx(expected)
    both = measured(ActivationCost(units, False), bert.model, bert.batch)
    assert both.item() == pytest.approx(expected + 1.0)
    norms = [layer.output.dense.weight.norm(dim=0) for layer in layers]
    weighted = [float((x[real].abs() * n.detach()).mean()) for x, n in zip(seen, norms, strict=True)]
    found = measured(ActivationCost(units, True), bert.model, bert.batch)
    assert found.item() == pytest.approx(sum(weighted) / len(layers))


def test_padding_does_not_count(bert: Any) -> None:
    cost = ActivationCost(inventory(bert.model), False)
    alone = {name: value[:1] for name, value in bert.batch.items()}
    padded = {name: nn.functional.pad(value[:1], (0, 5), value=0) for name, value in bert.batch.items()}
    padded["input_ids"][:, -5:] = 1
    assert measured(cost, bert.model, padded).item() == pytest.approx(measured(cost, bert.model, alone).item())
