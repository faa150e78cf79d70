"""The peer cooper as a pricing: its Lagrangian is the textbook's, and training runs under it."""

from pathlib import Path

import pytest
import torch

from walras.experiments.training.config import TrainConfig
from walras.experiments.training.train import train

pytest.importorskip("cooper", reason="cooper is not installed: pip install walras[peers]")


def test_by_hand() -> None:
    from walras.experiments.benchmarks.peer_cooper import CooperPricing

    pricing = CooperPricing(0.4, rate=2.0, price=0.5)
    cost = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    penalty = pricing.penalty(cost, 1.0)
    assert penalty.item() == pytest.approx(0.5 * 0.2 + 2 / 2 * 0.2**2)
    (slope,) = torch.autograd.grad(penalty, cost)
    assert slope.item() == pytest.approx(0.5 + 2 * 0.2)
    assert pricing.after(0.6, 1.0).price == pytest.approx(0.5 + 2 * 0.2)
    assert pricing.restored(pricing.after(0.6, 1.0).state()) == pricing.after(0.6, 1.0)


def test_a_run(models: Path, glue: Path) -> None:
    file = Path(__file__).parents[2] / "experiments" / "benchmarks" / "peer_cooper.py"
    settings = {"model": str(models / "bert"), "task": "sst2", "data": str(glue), "pricing": f"{file}:CooperPricing"}
    config = {"device": "cpu", "batch_size": 4, "held_out": 0.0, "epochs": 4, "block": 16, "length": 16, "sentences": 8}
    found = train(TrainConfig.of({**settings, **config, "budget": 0.5}))
    assert found.summary["used"] <= 0.5
    assert found.summary["price"] > 0
