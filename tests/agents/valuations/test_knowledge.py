"""K-prune's score against its formulas, written out."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from walras.agents import Calibration, KnowledgeScore
from walras.errors import InputError
from walras.models import gated, inventory
from walras.models.objective import GivenLoss
from walras.models.units.inventory import projections

NO_LOSS = GivenLoss(lambda *_: pytest.fail("the score has a loss of its own"))


def ones(network: Any) -> Tensor:
    return torch.ones(len(network.units), dtype=torch.float64)


def written(network: Any) -> list[float]:
    """Sum over a unit's features of the mean over tokens of x^2 times the mean over outputs of W^2."""
    inputs: list[list[Tensor]] = [[] for _ in network.units.sites]
    hooks = [
        p.register_forward_pre_hook(lambda _, args, i=i: inputs[i].append(args[0].detach()))
        for i, p in enumerate(projections(network.model, network.units))
    ]
    found: list[float] = []
    rows = []
    with torch.no_grad():
        for batch in network.batches:
            network.model(**batch)
            mask = batch.get("attention_mask")
            rows.append(mask.flatten().bool() if mask is not None else slice(None))
    for hook in hooks:
        hook.remove()
    for site, seen, projection in zip(
        network.units.sites, inputs, projections(network.model, network.units), strict=True
    ):
        x = torch.cat([part.reshape(-1, site.width)[real] for part, real in zip(seen, rows, strict=True)])
        weight = projection.get_parameter("weight").detach()
        if not isinstance(projection, nn.Linear):
            weight = weight.T
        for unit in range(site.units.stop - site.units.start):
            total = 0.0
            for j in range(unit * site.block, min(site.width, (unit + 1) * site.block)):
                out = weight[:, j].tolist()
                total += float((x[:, j] ** 2).mean()) * math.fsum(w**2 for w in out) / len(out)
            found.append(total)
    return found


def head_size(network: Any) -> int:
    return 4 if network.model.config.model_type == "llama" else 6


def test_of_the_dense_network_only_representations_count(network: Any, generator: torch.Generator) -> None:
    """Divergence is at its minimum there: in the paper as here, the first sub-layer is ranked by K_rep."""
    calibration = network.calibration(NO_LOSS)
    score = KnowledgeScore()(calibration, ones(network), generator)
    expected = [
        2.5e-4 * k * (64 / head_size(network) if kind == "head" else 1)
        for k, kind in zip(written(network), network.units.kind, strict=True)
    ]
    assert score.dtype == torch.float64
    assert score.tolist() == pytest.approx(expected, rel=1e-5)
    assert float(KnowledgeScore(representational=0)(calibration, ones(network), generator).max()) < 1e-12


def predicted(network: Any, dense: nn.Module, gates: Tensor, temperature: float) -> Tensor:
    """K_pred [n], sample by sample, one gate vector for the whole network."""
    squares, samples = torch.zeros_like(gates), 0
    for batch in network.batches:
        for row in range(len(next(iter(batch.values())))):
            sample = {name: tensor[row : row + 1] for name, tensor in batch.items()}
            with torch.no_grad():
                p = (dense(**sample).logits[0] / temperature).softmax(-1)
            shared = gates.clone().requires_grad_()
            with gated(network.model, network.units, shared):
                q = (network.model(**sample).logits[0] / temperature).softmax(-1)
                (slope,) = torch.autograd.grad((p * (p / q).log()).sum() * temperature**2, shared)
            squares += slope**2
            samples += 1
    return squares / (2 * samples)


@pytest.mark.spread
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_predictive_knowledge_of_a_pruned_network(network: Any, temperature: float, generator: torch.Generator) -> None:
    gates = ones(network)
    gates[1::3] = 0
    valuation = KnowledgeScore(representational=0, heads=1, temperature=temperature)
    score = valuation(network.calibration(NO_LOSS), gates, generator)
    expected = predicted(network, network.model, gates, temperature)
    assert bool((expected > 0).all())
    torch.testing.assert_close(score, expected, rtol=1e-5, atol=1e-18)


def test_the_dense_network_teaches_the_repaired_one(bert: Any, generator: torch.Generator) -> None:
    dense = copy.deepcopy(bert.model)
    with torch.no_grad():
        bert.model.bert.encoder.layer[1].output.dense.weight.mul_(1.5)
    share = bert.calibration(NO_LOSS).cost
    calibration = Calibration(bert.model, bert.units, NO_LOSS, bert.batches, share, dense)
    score = KnowledgeScore(representational=0, heads=1)(calibration, ones(bert), generator)
    torch.testing.assert_close(score, predicted(bert, dense, ones(bert), 2.0), rtol=1e-5, atol=1e-18)
    assert bool((score > 0).all())
    assert KnowledgeScore(predictive=0, heads=1)(calibration, ones(bert), generator)[2:6].tolist() == pytest.approx(
        [2.5e-4 * k for k in written(bert)[2:6]], rel=1e-5
    )


@pytest.mark.parametrize(("room", "runs"), [(2**28, 0), (0, 1)])
def test_dense_predictions_are_kept_while_there_is_room(
    bert: Any, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch, room: int, runs: int
) -> None:
    monkeypatch.setattr("walras.agents.calibration.calibration.MAX_KEPT_PREDICTIONS", room)
    calibration = Calibration(
        bert.model, bert.units, NO_LOSS, bert.batches, np.ones(len(bert.units)), dense := copy.deepcopy(bert.model)
    )
    first = KnowledgeScore()(calibration, ones(bert), generator)
    seen: list[object] = []
    dense.register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(KnowledgeScore()(calibration.above(1), ones(bert), generator)[-1], first[-1])
    assert len(seen) == runs * len(bert.batches)


def test_the_parts_add_up_and_heads_weigh_more(bert: Any, generator: torch.Generator) -> None:
    gates = ones(bert)
    gates[4] = 0
    calibration = bert.calibration(NO_LOSS)
    both, first, second, flat = (
        KnowledgeScore(**given)(calibration, gates, generator)
        for given in ({}, {"representational": 0}, {"predictive": 0}, {"heads": 1})
    )
    torch.testing.assert_close(both, first + second)
    is_head = torch.from_numpy(bert.units.kind == "head")
    torch.testing.assert_close(both, torch.where(is_head, 64 * flat, flat))
    assert float(second[4]) > 0  # what the block that left would write
    twice = KnowledgeScore(predictive=2, representational=5e-4)(calibration, gates, generator)
    torch.testing.assert_close(twice, 2 * both)


def test_embeddings_without_a_head(bert: Any, generator: torch.Generator) -> None:
    base = bert.model.base_model
    units = inventory(base, block=6)
    share = bert.calibration(NO_LOSS).cost
    calibration = Calibration(base, units, NO_LOSS, bert.batches, share)
    gates = torch.ones(len(units), dtype=torch.float64)
    gates[3] = 0
    score = KnowledgeScore(representational=0)(calibration, gates, generator)
    assert bool((score > 0).all())


def test_it_leaves_the_network_as_it_was(bert: Any, generator: torch.Generator) -> None:
    bert.model.train()
    KnowledgeScore()(bert.calibration(NO_LOSS), ones(bert), generator)
    assert all(m.training for m in bert.model.modules())
    assert all(p.requires_grad for p in bert.model.parameters())
    assert not any(m._forward_pre_hooks for m in bert.model.modules())


@pytest.mark.parametrize("name", ["predictive", "representational", "heads"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_bad_weights_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}; it must be a number of at least 0"):
        KnowledgeScore(**{name: value})
