"""One item of each group: by hand, and against every choice there is."""

from itertools import product

import numpy as np
import pytest

from walras.errors import InputError
from walras.mechanisms.solvers.multiple_choice import least_loss_choice


def best(losses: list[np.ndarray], costs: list[np.ndarray], supply: float) -> float:
    """The least loss of all choices within the supply."""
    sizes = [range(len(loss)) for loss in losses]
    fit = [c for c in product(*sizes) if sum(costs[g][i] for g, i in enumerate(c)) <= supply + 1e-9]
    return float(min(sum(losses[g][i] for g, i in enumerate(c)) for c in fit))


def test_two_groups_by_hand() -> None:
    """Supply 4: (0, 3) costs 4 at a loss of 6 + 1; (1, 2) costs 4 at 3 + 2; (2, 1) costs 4 at 0 + 7."""
    losses = [np.array([6.0, 3, 0]), np.array([9.0, 7, 2, 1])]
    costs = [np.array([1.0, 2, 3]), np.array([0.0, 1, 2, 3])]
    assert least_loss_choice(losses, costs, 4) == (1, 2)
    assert least_loss_choice(losses, costs, 1) == (0, 0)
    assert least_loss_choice(losses, costs, 100) == (2, 3)


@pytest.mark.parametrize("seed", range(30))
def test_whole_costs_have_the_best_choice(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    sizes = drawn.integers(1, 5, 4)
    losses, costs = ([drawn.random(n) for n in sizes], [drawn.integers(0, 9, n).astype(float) for n in sizes])
    cheapest = sum(cost.min() for cost in costs)
    supply = cheapest + int(drawn.integers(1, 20))
    choice = least_loss_choice(losses, costs, supply, buckets=int(supply - cheapest))
    assert sum(costs[g][i] for g, i in enumerate(choice)) <= supply
    assert sum(losses[g][i] for g, i in enumerate(choice)) == pytest.approx(best(losses, costs, supply))


@pytest.mark.parametrize("seed", range(30))
def test_any_costs_stay_within_the_supply_and_near_the_best(seed: int) -> None:
    """As good as any choice that leaves a bucket a group unsold."""
    drawn = np.random.default_rng(seed)
    losses, costs = ([drawn.random(4) for _ in range(4)], [drawn.random(4) for _ in range(4)])
    cheapest = sum(cost.min() for cost in costs)
    supply = cheapest + float(drawn.random())
    choice = least_loss_choice(losses, costs, supply, buckets=200)
    assert sum(costs[g][i] for g, i in enumerate(choice)) <= supply + 1e-9
    less = supply - 4 * (supply - cheapest) / 200
    found = sum(losses[g][i] for g, i in enumerate(choice))
    assert best(losses, costs, supply) - 1e-12 <= found <= best(losses, costs, less) + 1e-12


def test_bad_input() -> None:
    one = [np.ones(2)]
    with pytest.raises(InputError, match=r"supply is 0\.5; the cheapest choice costs 1"):
        least_loss_choice(one, one, 0.5)
    with pytest.raises(InputError, match=r"losses of \[2\] items and costs of \[3\]; each needs both"):
        least_loss_choice(one, [np.ones(3)], 5)
