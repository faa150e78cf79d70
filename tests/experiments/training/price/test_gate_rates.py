"""Prices meet their budget while 360 gates fight for their units under noisy losses, which rise steeply."""

from statistics import NormalDist

import numpy as np
import pytest
import torch

from walras.experiments.training.config import TrainConfig
from walras.experiments.training.price.economy import OPEN, SPREAD
from walras.experiments.training.price.gate_rates import gates_factor
from walras.experiments.training.price.settings import STIFF
from walras.market.pricing import DualAscent, Pricing, Tax
from walras.market.pricing.rises import ByTarget
from walras.models.units.hard_concrete import HardConcrete

REACH = TrainConfig().economy.gate_logit_range
LOSS, STEPS, STEEP, NOISE, UNITS = 0.3, 110, 40.0, 0.5, 360


def course(pricing: Pricing) -> list[float]:
    """The expected cost of every step, and in the end; 72 heads and 288 blocks begin nearly in the order of values."""
    seeded = torch.Generator().manual_seed(0)
    share = torch.cat([torch.full((72,), 0.35 / 72), torch.full((288,), 0.65 / 288)]).double()
    value = torch.exp(1.2 * torch.randn(UNITS, generator=seeded)).double() * share
    value /= value.sum()
    guess = value / share * torch.exp(0.7 * torch.randn(UNITS, generator=seeded).double())
    rank, normal = np.argsort(np.argsort(guess.numpy())), NormalDist(0.0, SPREAD)
    spread = torch.tensor([normal.inv_cdf((int(r) + 0.5) / UNITS) for r in rank])
    gates = HardConcrete((np.log(OPEN / (1 - OPEN)) + spread).float())
    optimizer = torch.optim.AdamW(gates.parameters(), weight_decay=0.0)
    found = []
    for step in range(STEPS):
        at = step / STEPS
        optimizer.param_groups[0]["lr"] = REACH / STEPS * gates_factor(step, STEPS)
        logits = gates.logits.clone()
        cost = (gates.chance(logits) * share).sum()
        noise = torch.exp(NOISE * torch.randn(UNITS, generator=seeded) - NOISE**2 / 2).double()
        lost = (value * noise * (1 - gates.sample(logits, seeded))).sum()
        (LOSS * (1 + STEEP * lost.square()) + pricing.penalty(cost, at)).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(cost.detach()))
        pricing = pricing.after(found[-1], at)
    return [*found, float((gates.chance(gates.logits.detach()) * share).sum())]


def dual_ascent(budget: float, stiff: float) -> DualAscent:
    return DualAscent(budget, LOSS, curvature=stiff * LOSS)


@pytest.mark.parametrize("budget", [0.8, 0.6, 0.4])
def test_the_cost_ends_within_a_hundredth_of_the_budget(budget: float) -> None:
    assert course(dual_ascent(budget, STIFF))[-1] == pytest.approx(budget, rel=0.01)


def test_with_less_stiffness_it_would_not() -> None:
    assert course(dual_ascent(0.4, STIFF / 3))[-1] > 0.4 * 1.01


@pytest.mark.parametrize("budget", [0.6, 0.4])
@pytest.mark.parametrize("price", [20.0, 100.0])
def test_a_tax_that_rises_by_target_ends_near_it(price: float, budget: float) -> None:
    assert course(Tax(price, ByTarget(budget)))[-1] == pytest.approx(budget, abs=0.05)


def test_almost_without_damping_it_would_not() -> None:
    assert course(Tax(100.0, ByTarget(0.6, damping=0.01)))[-1] < 0.5


def test_under_even_cost_compute_falls_more_evenly_than_under_a_linear_rise() -> None:
    """By the spread of what it falls by in each tenth of the rise, relative to their mean."""

    def spread(rise: str) -> float:
        falls = -np.diff(course(Tax(20.0, f"{rise}:until=0.9"))[10:100:9])
        return float(falls.std() / falls.mean())

    assert spread("even-cost") < 0.75 * spread("linear")
