"""Magnitude against sums written out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from walras.agents import Magnitude
from walras.models.objective import GivenLoss

HEAD, BLOCK, NEURONS = 6, 6, 20  # features a head, neurons a block, neurons a layer: the last block has 2


def norm(weight: Tensor, inputs: range, by_row: bool) -> float:
    """Frobenius norm of what some input features write, added up number by number."""
    table = np.asarray(weight.detach())
    return math.sqrt(math.fsum(x**2 for j in inputs for x in (table[j] if by_row else table[:, j]).tolist()))


def by_hand(projections: list[tuple[Tensor, Tensor]], by_row: bool) -> list[float]:
    """Values in the order of the units, from each layer's output projections of attention and FFN."""
    blocks = [range(first, min(first + BLOCK, NEURONS)) for first in range(0, NEURONS, BLOCK)]
    return [
        norm(weight, inputs, by_row)
        for attention, ffn in projections
        for weight, groups in ((attention, [range(HEAD), range(HEAD, 2 * HEAD)]), (ffn, blocks))
        for inputs in groups
    ]


def no_loss(*_: Any) -> Tensor:
    pytest.fail("magnitude looks at no data")


def test_linear(bert: Any, generator: torch.Generator) -> None:
    layers = bert.model.bert.encoder.layer
    weights = [(layer.attention.output.dense.weight, layer.output.dense.weight) for layer in layers]
    value = Magnitude()(bert.calibration(GivenLoss(no_loss)), bert.gates, generator)
    assert value.tolist() == pytest.approx(by_hand(weights, by_row=False), rel=1e-12)


def test_conv1d(gpt2: Any, generator: torch.Generator) -> None:
    """GPT-2 keeps the transpose: a feature's weights are a row."""
    layers = gpt2.model.transformer.h
    weights = [(layer.attn.c_proj.weight, layer.mlp.c_proj.weight) for layer in layers]
    value = Magnitude()(gpt2.calibration(GivenLoss(no_loss)), gpt2.gates, generator)
    assert value.tolist() == pytest.approx(by_hand(weights, by_row=True), rel=1e-12)


def test_closed_gates_change_nothing(network: Any, generator: torch.Generator) -> None:
    calibration = network.calibration(GivenLoss(no_loss))
    value = Magnitude()(calibration, network.gates, generator)
    assert value.dtype == torch.float64
    assert torch.equal(Magnitude()(calibration, torch.zeros_like(network.gates), generator), value)
