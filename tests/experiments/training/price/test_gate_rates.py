"""Dual ascent meets its budget while 360 gates fight for their units under noisy losses, which rise steeply."""

from statistics import NormalDist

import numpy as np
import pytest
import torch

from walras.experiments.training.config import TrainConfig
from walras.experiments.training.price.economy import OPEN, SPREAD
from walras.experiments.training.price.gate_rates import gates_factor
from walras.experiments.training.price.settings import STIFF
from walras.market.pricing import DualAscent
from walras.models.units.hard_concrete import HardConcrete

REACH = TrainConfig().economy.gate_logit_range
LOSS, STEPS, STEEP, NOISE, UNITS = 0.3, 110, 40.0, 0.5, 360


def landed(budget: float, stiff: float) -> float:
    """The expected cost in the end; 72 heads and 288 blocks begin in the order of values, but for an error."""
    seeded = torch.Generator().manual_seed(0)
    share = torch.cat([torch.full((72,), 0.35 / 72), torch.full((288,), 0.65 / 288)]).double()
    value = torch.exp(1.2 * torch.randn(UNITS, generator=seeded)).double() * share
    value /= value.sum()
    guess = value / share * torch.exp(0.7 * torch.randn(UNITS, generator=seeded).double())
    rank, normal = np.argsort(np.argsort(guess.numpy())), NormalDist(0.0, SPREAD)
    spread = torch.tensor([normal.inv_cdf((int(r) + 0.5) / UNITS) for r in rank])
    gates = HardConcrete((np.log(OPEN / (1 - OPEN)) + spread).float())
    optimizer = torch.optim.AdamW(gates.parameters(), weight_decay=0.0)
    pricing = DualAscent(budget, LOSS, curvature=stiff * LOSS)
    for step in range(STEPS):
        at = step / STEPS
        optimizer.param_groups[0]["lr"] = REACH / STEPS * gates_factor(step, STEPS, 0.1)
        logits = gates.logits.clone()
        cost = (gates.chance(logits) * share).sum()
        noise = torch.exp(NOISE * torch.randn(UNITS, generator=seeded) - NOISE**2 / 2).double()
        lost = (value * noise * (1 - gates.sample(logits, seeded))).sum()
        (LOSS * (1 + STEEP * lost.square()) + pricing.penalty(cost, at)).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        optimizer.zero_grad()
        pricing = pricing.after(float(cost.detach()), at)
    return float((gates.chance(gates.logits.detach()) * share).sum())


@pytest.mark.parametrize("budget", [0.8, 0.6, 0.4])
def test_the_cost_ends_within_a_hundredth_of_the_budget(budget: float) -> None:
    assert landed(budget, STIFF) == pytest.approx(budget, rel=0.01)


def test_with_less_stiffness_it_would_not() -> None:
    assert landed(0.4, STIFF / 3) > 0.4 * 1.01
