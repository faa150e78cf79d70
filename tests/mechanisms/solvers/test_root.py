import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from walras.mechanisms.solvers.root import bracket, bracket_near, newton_step, search

FALLING: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda p: 0.3 - p,
    "exponential": lambda p: torch.exp(3 - p) - 0.7,
    "stiff": lambda p: torch.exp(40 * (0.123 - p)) - 1e-6,
    "kinked": lambda p: (0.5 - p).clamp(min=0) * 4 + (0.2 - p).clamp(min=0) - 0.1,
    "a jump": lambda p: torch.where(p < 1 / 3, 1.0, -1.0).to(p.dtype),
    "a plateau": lambda p: torch.where(p < 0.25, 1.0, torch.where(p < 0.75, 0.0, -1.0)).to(p.dtype),
    "the wrong scale": lambda p: 1e-30 - 1e-33 * p,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FALLING)
def test_the_answer_fits_and_the_float_below_does_not(name: str, dtype: torch.dtype) -> None:
    evaluations = 0

    def excess(price: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return FALLING[name](price.double())

    low, high = bracket(excess, torch.full((3,), -torch.inf, dtype=dtype), torch.full((3,), torch.inf, dtype=dtype))
    evaluations = 0
    price = search(excess, high, low)
    assert price.dtype == dtype
    assert bool((excess(price) <= 0).all())
    assert bool((excess(torch.nextafter(price, low)) > 0).all())
    assert evaluations <= 130


@pytest.mark.parametrize("guess", [1e-30, 1e-6, 0.1, 0.3, 1 / 3, 0.9, 7.0, 1e30])
def test_a_bracket_beside_a_guess(guess: float) -> None:
    start = torch.tensor([guess], dtype=torch.float64)
    for root in (1e-9, 1 / 3, 5.0, 1e9):
        low, high = bracket_near(lambda p, root=root: root - p, start, torch.zeros(1, dtype=torch.float64))  # type: ignore[misc]
        assert low.item() < root <= high.item()
        floor = torch.tensor([2 * root], dtype=torch.float64)
        low, high = bracket_near(lambda p, root=root: root - p, start, floor)  # type: ignore[misc]
        assert low == floor
        assert high >= floor


def test_within_a_share() -> None:
    evaluations = 0

    def excess(price: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return torch.exp(3 - price) - 0.7

    ends = torch.tensor([9.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64)
    found = search(excess, *ends, 1e-9).item()
    root = 3 - math.log(0.7)
    assert root <= found <= root * (1 + 1e-9)
    assert evaluations < 25


@pytest.mark.parametrize("goal", [1, 2, 17, 1000])
def test_among_integers(goal: int) -> None:
    used = torch.arange(1001.0).square().cumsum(-1)
    for last in (0, 1, 2, 5, 16, 600, 999, 1000):
        found = search(lambda k, last=last: used[k] - used[last], torch.tensor(0), torch.tensor(goal))  # type: ignore[misc]
        assert found.item() == min(last, goal)


def test_rows_are_searched_apart() -> None:
    root = torch.tensor([0.1, 5.0, -3.0, 0.5])
    found = search(lambda p: root - p, torch.full((4,), 8.0), torch.tensor([-8.0, -8.0, -8.0, 0.5]))
    torch.testing.assert_close(found, root)


def test_demand_that_fits_at_every_price_has_no_lower_end() -> None:
    low, high = bracket(lambda p: p * 0 - 1, torch.tensor([-torch.inf, 0.0]), torch.tensor([4.0, torch.inf]))
    assert low.tolist() == [4.0, 0.0]
    assert high.tolist() == [4.0, 0.0]


def test_finite_ends_are_left_alone() -> None:
    low, high = torch.tensor([0.0]), torch.tensor([1.0])
    assert bracket(lambda p: 1 / (p - p), low, high) == (low, high)


def test_a_newton_step_carries_the_derivative_of_the_root() -> None:
    a = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    root = newton_step(lambda p: a - p**3, (a.detach()) ** (1 / 3))
    torch.testing.assert_close(root, a ** (1 / 3))
    (found,) = torch.autograd.grad(root.sum(), a)
    torch.testing.assert_close(found, a.detach() ** (-2 / 3) / 3)


def test_a_flat_spot_leaves_the_root_where_it_is() -> None:
    a = torch.tensor([1.0], requires_grad=True)
    assert newton_step(lambda p: a.detach() + 0 * p + 0 * a, torch.tensor([0.3])).tolist() == [pytest.approx(0.3)]
