"""The peer cooper as a pricing: its Lagrangian is the textbook's, and training runs under it."""

from pathlib import Path

import pytest
import torch

from walras.experiments.training.config import TrainConfig
from walras.experiments.training.price.settings import STIFF
from walras.experiments.training.stage import TrainPlan
from walras.experiments.training.train import train
from walras.market.pricing import DualAscent

cooper = pytest.importorskip("cooper", reason="cooper is not installed: pip install '.[peers]'")
FILE = Path(__file__).parents[3] / "experiments" / "benchmarks" / "peers" / "peer_cooper.py"


def test_by_hand() -> None:
    from walras.experiments.benchmarks.peers.peer_cooper import CooperPricing

    pricing = CooperPricing(0.4, rate=2.0, price=0.5, curvature=3.0)
    cost = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    penalty = pricing.penalty(cost, 1.0)
    assert penalty.item() == pytest.approx(0.5 * 0.2 + 3 * 0.2**2)
    ours = DualAscent(0.4, rate=2.0, price=0.5, curvature=3.0)
    assert penalty.item() == pytest.approx(ours.penalty(cost, ours.fall).item())  # later ours counts it for more
    (slope,) = torch.autograd.grad(penalty, cost)
    assert slope.item() == pytest.approx(0.5 + 2 * 3 * 0.2)
    after = pricing.after(0.6, 1.0)
    assert after.price == pytest.approx(ours.after(0.6, 1.0).price)
    assert after.curvature == pytest.approx(3.0 + 2.0)
    assert pricing.after(0.4, 1.0).curvature == 3.0  # nothing is violated
    assert pricing.restored(after.state()) == after


def test_tensors_are_where_the_cost_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device stands for a GPU: it refuses to compute with tensors of another one."""
    from walras.experiments.benchmarks.peers.peer_cooper import CooperPricing

    coefficient = cooper.penalty_coefficients.PenaltyCoefficient
    monkeypatch.setattr(coefficient, "sanity_check", lambda self: None)  # it looks at values, and meta has none
    cost = torch.tensor(0.6, device="meta", requires_grad=True)
    penalty = CooperPricing(0.4, rate=2.0, curvature=3.0).penalty(cost, 1.0)
    assert penalty.device.type == "meta"


def test_it_begins_as_stiff_as_ours(models: Path, glue: Path) -> None:
    settings = {"model": str(models / "bert"), "task": "sst2", "data": str(glue), "budget": 0.5}
    ours = TrainPlan.from_config(TrainConfig.parse({**settings, "pricing": "dual-ascent"})).pricing(0.7)
    peer = TrainPlan.from_config(TrainConfig.parse({**settings, "pricing": f"{FILE}:CooperPricing"})).pricing(0.7)
    assert ours is not None
    assert peer is not None
    cost = torch.tensor(0.9, dtype=torch.float64)
    assert ours.penalty(cost, 0.5).item() == pytest.approx(peer.penalty(cost, 0.5).item())
    assert ours.state()["curvature"] == peer.state()["curvature"] == pytest.approx(STIFF * 0.7)


@pytest.mark.nightly
def test_a_run(models: Path, glue: Path) -> None:
    settings = {"model": str(models / "bert"), "task": "sst2", "data": str(glue), "pricing": f"{FILE}:CooperPricing"}
    config = {"device": "cpu", "batch_size": 4, "held_out": 0.0, "epochs": 4, "block": 16, "length": 16, "sentences": 8}
    found = train(TrainConfig.parse({**settings, **config, "budget": 0.5}))
    assert found.summary.used <= 0.5
    assert (found.summary.price or 0.0) > 0
