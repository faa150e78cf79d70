"""The quadratic model of the loss, by hand and against the network near the dense one."""

from typing import Any

import pytest
import torch

from walras.agents import Fisher, QuadraticSurrogate
from walras.models.objective import GivenLoss

RANDOM = torch.Generator


def test_values_are_differences_of_the_quadratic_model(bert: Any) -> None:
    network = bert
    loss = GivenLoss(lambda net, b: net(**b).logits.sin().sum(-1).mean())
    calibration = network.calibration(loss)
    n = len(network.units)
    gradients = calibration.dense_gradients
    fisher = gradients.T @ gradients / len(gradients)

    def model(gates: torch.Tensor) -> float:
        d = 1 - gates.double()
        return float(d @ fisher @ d) / 2

    gates = torch.ones(n)
    gates[[1, 3]] = 0
    value = QuadraticSurrogate()(calibration, gates, RANDOM())
    for i in range(n):
        there, gone = gates.clone(), gates.clone()
        there[i], gone[i] = 1, 0
        assert value[i].item() == pytest.approx(max(model(gone) - model(there), 0), abs=1e-12)
    dense = QuadraticSurrogate()(calibration, torch.ones(n), RANDOM())
    torch.testing.assert_close(dense, Fisher()(calibration, torch.ones(n, dtype=torch.float64), RANDOM()) / 2)


def test_the_network_is_asked_once(bert: Any) -> None:
    network = bert
    passes = 0

    def counted(net: Any, b: Any) -> torch.Tensor:
        nonlocal passes
        passes += 1
        found: torch.Tensor = net(**b).logits.sin().sum(-1).mean()
        return found

    calibration = network.calibration(GivenLoss(counted))
    for _ in range(3):
        QuadraticSurrogate()(calibration, torch.ones(len(network.units)), RANDOM())
    assert passes == len(network.batches)
