"""How far a network is from the dense one: predictions, and the states of its layers."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from tests.experiments.training.price.conftest import SIZES, batches
from walras.experiments.training.price.distilled import Distilled, LayerStates, distance
from walras.models.distillation import Distillation
from walras.models.objective import inputs_of

Make = Callable[..., nn.Module]


def moved(model: nn.Module) -> nn.Module:
    """The same with other weights in the last layer alone."""
    other = copy.deepcopy(model).train()
    with torch.no_grad():
        other.get_parameter("bert.encoder.layer.1.output.dense.weight").mul_(0.5)
    return other


def test_the_distance_of_states_by_hand() -> None:
    """Two layers, two tokens, of which the second is padding: (1 + 4) / (9 + 16) and 0."""
    dense = [torch.tensor([[[3.0, 4.0], [100.0, 0.0]]]), torch.ones(1, 2, 2)]
    now = [torch.tensor([[[4.0, 2.0], [0.0, 0.0]]]), torch.ones(1, 2, 2)]
    assert float(distance(now, dense, torch.tensor([[1, 0]]))) == pytest.approx(5 / 25 / 2)
    assert float(distance(now, dense, None)) == pytest.approx((5 + 10_000) / (25 + 10_000) / 2)
    assert float(distance(dense, dense, None)) == 0.0


def test_states_are_those_that_transformers_tells(network: Make) -> None:
    model, batch = network().eval(), inputs_of(batches(1)[0])
    seen = LayerStates(model)
    told = model(**batch, output_hidden_states=True).hidden_states[1:]
    found = seen.taken()
    assert len(found) == len(told) == 2
    assert all(torch.equal(one, other) for one, other in zip(found, told, strict=True))
    assert seen.taken() == []
    seen.close()
    model(**batch)
    assert seen.taken() == []


def test_predictions_and_states_add_up(network: Make) -> None:
    dense, batch = network().eval(), batches(1)[0]
    model = moved(dense)
    watched = Distilled(model, dense, 3.0, 5.0)
    outputs = model(**batch)
    found = watched.taken()
    mask = batch["attention_mask"]
    divergence = Distillation.from_dense(dense, batch).of(outputs, mask)
    hidden, before = (one(**inputs_of(batch), output_hidden_states=True).hidden_states for one in (model, dense))
    apart = (hidden[2] - before[2]).square().sum() / before[2].square().sum()
    assert torch.equal(hidden[1], before[1])
    assert float(found.detach()) == pytest.approx(float((3.0 * divergence + 5.0 * apart / 2).detach()))
    torch.autograd.backward(found)
    gradients = [p.grad for name, p in model.named_parameters() if "layer.1.output.dense.weight" in name]
    assert all(g is not None and bool(g.abs().sum() > 0) for g in gradients)
    assert all(p.grad is None for p in dense.parameters())
    watched.close()
    assert float(watched.taken()) == 0.0
    assert "forward" not in vars(model)


def test_layers_that_are_run_again_for_their_gradients_count_once() -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", **SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    kind: Any = AutoModel
    model = kind.from_config(config)
    dense, gradients = copy.deepcopy(model).eval(), []
    with torch.no_grad():
        model.encoder.layer[0].output.dense.weight.mul_(0.5)
    for again in (False, True):
        own = copy.deepcopy(model).train()
        if again:
            own.activation_checkpointing_enable({"use_reentrant": False})
        watched = Distilled(own, dense, 0.0, 1.0)
        for batch in batches(2):
            own(**inputs_of(batch))
            torch.autograd.backward(watched.taken())
        gradients.append([p.grad for p in own.parameters() if p.grad is not None])
        watched.close()
    plain, run_again = gradients
    assert len(plain) == len(run_again)
    assert all(torch.equal(one, other) for one, other in zip(plain, run_again, strict=True))
