"""Repairs of mixtures of experts: heads and dense FFNs are re-fitted, experts are left as they are."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from walras.models import gated, inventory
from walras.models.repair import REPAIRS
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.repair import ModelPair


@pytest.mark.parametrize("name", ["granitemoe", "mixtral"])
def test_streams_are_in_units_of_what_a_sublayer_writes(name: str, tiny: Any) -> None:
    """Granite multiplies what a sub-layer writes before it adds it to the stream."""
    tested = tiny(name, dtype=torch.float64)
    units = inventory(tested.model)
    gates = torch.ones(len(units), dtype=torch.float64)
    gates[0] = 0
    with LayerwiseRunner(tested.model, [tested.batch]) as runner:
        (dense,) = runner.read(units.sites[0])
        with gated(tested.model, units, gates):
            (now,) = runner.read(units.sites[0])
    assert float((dense.total - now.total).abs().max()) > 0.1
    torch.testing.assert_close(dense.total - now.total, dense.output - now.output, rtol=0, atol=1e-6)


@pytest.mark.parametrize("repair", ["least_squares", "scales"])
def test_experts_shared_ones_too_stay_as_they_are(repair: str, tiny: Any) -> None:
    tested = tiny("qwen2_moe")
    units = inventory(tested.model, block=8)
    model = copy.deepcopy(tested.model)
    keep = np.ones(len(units), dtype=bool)
    keep[[0, 4, 7]] = False  # a head, neurons of the shared expert, an expert of layer 0
    assert [units.kind[i] for i in (0, 4, 7)] == ["head", "ffn", "expert"]
    with ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair:
        REPAIRS.make(repair)(pair, keep)
    changed = [
        name
        for (name, now), before in zip(model.named_parameters(), tested.model.parameters(), strict=True)
        if not torch.equal(now, before)
    ]
    assert "model.layers.0.self_attn.o_proj.weight" in changed
    assert "model.layers.1.mlp.down_proj.weight" in changed  # of a dense layer
    assert all(name.endswith(("self_attn.o_proj.weight", "layers.1.mlp.down_proj.weight")) for name in changed)
