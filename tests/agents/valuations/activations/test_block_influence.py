"""How far layers turn the hidden state, against hidden states that transformers returns."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from walras.agents import BlockInfluence
from walras.agents.valuations.activations.block_influence import block_influences
from walras.models import inventory
from walras.models.objective import GivenLoss, inputs_of

NO_LOSS = GivenLoss(lambda *_: torch.zeros(()))


def by_hand(network: Any) -> list[float]:
    """1 less the mean cosine, token by token; the last state is taken before the norm that follows the layers."""
    cosines: list[list[float]] = []
    for batch in network.batches:
        states: list[tuple[torch.Tensor, torch.Tensor]] = []
        numbered = [(name, m) for name, m in network.model.named_modules() if name.rpartition(".")[2].isdigit()]
        depth = min(name.count(".") for name, _ in numbered)
        layers = [m for name, m in numbered if name.count(".") == depth]
        handles = [
            layer.register_forward_hook(
                lambda _, args, kwargs, out, states=states: states.append(
                    (args[0] if args else kwargs["hidden_states"], out[0] if isinstance(out, tuple) else out)
                ),
                with_kwargs=True,
            )
            for layer in layers
        ]
        with torch.no_grad():
            network.model(**inputs_of(batch))
        for handle in handles:
            handle.remove()
        mask = batch.get("attention_mask", torch.ones(states[0][0].shape[:2])).bool()
        cosines = cosines or [[] for _ in states]
        for found, (before, after) in zip(cosines, states, strict=True):
            for x, y in zip(before[mask], after[mask], strict=True):
                found.append(float(x @ y / (x.norm() * y.norm())))
    return [1 - sum(found) / len(found) for found in cosines]


def as_blocks(network: Any) -> Any:
    return replace(network, units=inventory(network.model, ["block"]))


def test_scores(network: Any) -> None:
    blocks = as_blocks(network)
    found = block_influences(blocks.calibration(NO_LOSS), torch.ones(len(blocks.units), dtype=torch.float64))
    assert found.tolist() == pytest.approx(by_hand(network), rel=1e-4, abs=1e-6)


def test_layers_leave_whole_from_the_one_that_turns_least(network: Any, generator: torch.Generator) -> None:
    blocks = as_blocks(network)
    calibration, gates = blocks.calibration(NO_LOSS), torch.ones(len(blocks.units), dtype=torch.float64)
    score = block_influences(calibration, gates)
    value = BlockInfluence()(calibration, gates, generator) / torch.from_numpy(calibration.cost)
    leaving = [int(blocks.units.layer[unit]) for unit in value.argsort()]
    layers = list(dict.fromkeys(leaving))
    assert layers == score.argsort().tolist()
    assert leaving == [layer for layer in layers for _ in range(leaving.count(layer))]
