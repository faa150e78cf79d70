"""Hard concrete gates: their distribution, their gradients, and units that are held."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, kstest

from walras.errors import InputError
from walras.models.units.hard_concrete import HIGH, LOW, SHIFT, TEMPERATURE, HardConcrete

DOUBLE = torch.float64


def many(logit: float, draws: int = 20_000) -> HardConcrete:
    """As many gates of one logit as there are to be draws."""
    return HardConcrete(torch.full((draws,), logit, dtype=DOUBLE))


@pytest.mark.parametrize("logit", [-2.0, 0.0, 1.5])
def test_the_chance_to_be_open_is_the_sigmoid_of_the_logit(logit: float) -> None:
    gates = many(logit)
    opened = int((gates.sample(gates.logits, torch.Generator().manual_seed(0)) > 0).sum())
    chance = gates.chance(gates.logits)[0].item()
    assert chance == pytest.approx(1 / (1 + math.exp(-logit)))
    assert binomtest(opened, 20_000, chance).pvalue > 1e-3
    assert binomtest(opened, 20_000, chance + 0.05).pvalue < 1e-3  # the test can fail


def test_between_0_and_1_the_distribution_is_the_stretched_concrete_one() -> None:
    """P(gate <= z) from inverting the formulas of the class, for z inside (0, 1)."""
    gates = many(0.3)
    drawn = gates.sample(gates.logits, torch.Generator().manual_seed(1)).detach().numpy()
    odds = 0.3 + SHIFT

    def below(z: float) -> float:
        s = (z - LOW) / (HIGH - LOW)
        return 1 / (1 + math.exp(-(TEMPERATURE * math.log(s / (1 - s)) - odds)))

    inside = drawn[(drawn > 0) & (drawn < 1)]
    low, high = below(0.0), below(1.0)
    assert kstest(inside, np.vectorize(lambda z: (below(z) - low) / (high - low))).pvalue > 1e-3
    assert low == pytest.approx(1 - gates.chance(gates.logits)[0].item())


def test_published_constants() -> None:
    """Louizos et al. 2018, section 2.2: P(z != 0) = sigmoid(ln a - b ln(-low / high))."""
    assert (TEMPERATURE, LOW, HIGH) == (2 / 3, -0.1, 1.1)
    assert pytest.approx(2 / 3 * math.log(0.1 / 1.1)) == SHIFT
    at_rest = HardConcrete(torch.tensor([-SHIFT, 40.0, -40.0]))
    assert at_rest.at_rest(at_rest.logits).tolist() == pytest.approx([0.5, 1.0, 0.0])


def test_gradients() -> None:
    gates = HardConcrete(torch.tensor([-0.4, 0.2, 0.9], dtype=DOUBLE))
    assert torch.autograd.gradcheck(lambda x: gates.sample(x, torch.Generator().manual_seed(2)), gates.logits)
    assert torch.autograd.gradcheck(gates.chance, gates.logits)


def test_held_units_do_not_move() -> None:
    gates = HardConcrete(torch.zeros(4))
    gates.fix(torch.tensor([True, False, False, False]), 0.0)
    gates.fix(torch.tensor([True, True, False, False]), 1.0)  # who is held already stays so
    assert gates.free.tolist() == [False, False, True, True]
    sampled, chance = gates.sample(gates.logits, torch.Generator().manual_seed(0)), gates.chance(gates.logits)
    for found in (sampled, chance, gates.at_rest(gates.logits)):
        assert found[:2].tolist() == [0.0, 1.0]
    (slope,) = torch.autograd.grad((sampled + chance).sum(), gates.logits)
    assert slope[:2].tolist() == [0.0, 0.0]
    assert bool((slope[2:] != 0).all())


def test_draws_repeat_with_the_generator() -> None:
    gates = many(0.0, 50)
    one, same, other = (gates.sample(gates.logits, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("logits", [torch.zeros(2, 2), torch.tensor([0.0, math.nan]), torch.tensor([math.inf])])
def test_bad_logits(logits: torch.Tensor) -> None:
    with pytest.raises(InputError, match="they must be finite numbers"):
        HardConcrete(logits)


def test_a_gate_is_held_at_0_or_1() -> None:
    with pytest.raises(InputError, match=r"fixed at 0\.5"):
        HardConcrete(torch.zeros(1)).fix(torch.tensor([True]), 0.5)
