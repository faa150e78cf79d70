"""The benchmark of training steps: every pricing is among them, and a market that clears has cleared."""

from pathlib import Path

import pytest
import torch

from walras.experiments.benchmarks.speed.training_overhead import PRICED, _step, economy_of
from walras.experiments.tasks import TASKS
from walras.experiments.training.config import TrainConfig
from walras.market.pricing import PRICINGS, Cleared
from walras.models import inventory, macs
from walras.models.loading import load


def test_every_pricing_is_timed() -> None:
    assert set(PRICED) == set(PRICINGS)


@pytest.mark.parametrize("name", PRICED)
def test_a_step_reaches_weights_and_gates(name: str, models: Path, glue: Path) -> None:
    task = TASKS.make("stsb", data=str(glue))
    model, tokenizer = load(str(models / "bert"), device="cpu")
    units = inventory(model, block=16)
    share = torch.from_numpy(macs(model, units, 16).share)
    settings = {"task": "stsb", "data": str(glue), "pricing": name, **({"price": 0.1} if name == "tax" else {})}
    economy = economy_of(TrainConfig.parse(settings), units, share)
    batch = task.batch(tokenizer, task.pool()[:4], 16)
    seen: list[bool] = []
    economy.gates.logits.register_hook(lambda slope: seen.append(bool(slope.abs().sum() > 0)))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    before = [p.detach().clone() for p in model.parameters()]
    _step(model, task.objective(model, False), batch, economy, units)
    assert seen == [True]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    if name == "cleared":
        assert isinstance(economy.pricing, Cleared)
        assert economy.pricing.played == 1
        assert economy.pricing.price > 0
        assert (economy.gates.fixed == 0).any()
