"""The order in which units leave a projection, by hand, and against a fit of every set that could be kept."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from walras.errors import InputError
from walras.models.surgeon import StructuredOBS
from walras.models.surgeon.elimination import eliminated


def problem(hidden: int, k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A projection, and moments of features that say much the same."""
    drawn = torch.Generator().manual_seed(seed)
    mixed = torch.randn(k, k, generator=drawn, dtype=torch.float64) + 2
    x = torch.randn(5 * k, k, generator=drawn, dtype=torch.float64) @ mixed
    return torch.randn(hidden, k, generator=drawn, dtype=torch.float64), x.T @ x


def fitted_error(surgeon: StructuredOBS, units: list[int]) -> float:
    """The least error of any weights of a set of units, by a solver that knows of no surgeon."""
    w, h = surgeon.weight.double(), surgeon.curvature.double()
    root = torch.linalg.cholesky(h).T  # |root v|^2 = v'Hv
    owner = torch.arange(w.shape[1]) // surgeon.block
    kept = torch.isin(owner, torch.tensor(units, dtype=torch.long)).nonzero().flatten()
    wanted = root @ w.T
    v = torch.linalg.lstsq(root[:, kept], wanted, driver="gelsd").solution if len(kept) else torch.zeros(0, len(w))
    left = wanted - (root[:, kept] @ v if len(kept) else 0)
    return float(left.square().sum() / wanted.square().sum())


def test_two_units_by_hand() -> None:
    """H = [[2, 1], [1, 2]], W = [3, 1]: H^-1 = [[2, -1], [-1, 2]] / 3.

    Removing the second costs 1 / (2/3) = 1.5, the first 9 / (2/3) = 13.5. So the second leaves, and the first becomes
    3 - 1 * (-1/3) / (2/3) = 3.5. Without both the error is W H W' = 18 + 6 + 2 = 26, of which 1.5 is 3/52.
    """
    h = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    order, rises = eliminated(torch.tensor([[3.0, 1.0]], dtype=torch.float64), h, 1)
    assert order.tolist() == [1, 0]
    assert rises == pytest.approx([1.5, 24.5])
    moment = h - 0.02 * torch.eye(2)  # whose mean square is 1.98: damped by 0.02 / 1.98 it is h again
    surgeon = StructuredOBS.from_moment(torch.tensor([[3.0, 1.0]], dtype=torch.float64), moment, 1, 0.02 / 1.98)
    assert surgeon.errors == pytest.approx([0, 3 / 52, 1])
    assert surgeon.refitted(surgeon.keeping(1)).tolist() == [pytest.approx([3.5])]
    assert surgeon.rises == pytest.approx([49 / 52, 3 / 52])


def test_a_unit_of_two_features_by_hand() -> None:
    """Features 0 and 1, one unit, do not touch feature 2: each unit costs what it wrote."""
    h = torch.tensor([[2.0, 1, 0], [1, 2, 0], [0, 0, 4]], dtype=torch.float64)
    order, rises = eliminated(torch.tensor([[1.0, 1, 1]], dtype=torch.float64), h, 2)
    assert order.tolist() == [1, 0]  # the last unit has one feature: 1 * 4; the first 1 * 2 + 2 * 1 + 1 * 2
    assert rises == pytest.approx([4, 6])


@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_errors_are_those_of_a_fit_of_the_same_set(block: int) -> None:
    surgeon = StructuredOBS.from_moment(*problem(5, 11), block)
    units = -(-11 // block)
    for count in range(units + 1):
        keep = surgeon.keeping(count)
        assert keep.sum() == count
        wanted = fitted_error(surgeon, np.flatnonzero(keep).tolist())
        assert surgeon.errors[units - count] == pytest.approx(wanted, rel=1e-7, abs=1e-9)
        assert surgeon.error(keep) == pytest.approx(wanted, rel=1e-7, abs=1e-9)
    assert surgeon.errors[-1] == pytest.approx(1)


@pytest.mark.parametrize("block", [1, 3])
def test_each_unit_that_leaves_is_the_one_that_is_missed_least(block: int) -> None:
    surgeon = StructuredOBS.from_moment(*problem(4, 12, seed=1), block)
    left = list(range(12 // block))
    for unit in surgeon.order:
        without = {u: fitted_error(surgeon, [v for v in left if v != u]) for u in left}
        assert unit == min(without, key=without.__getitem__)
        left.remove(int(unit))


def test_greedy_order_finds_the_best_pair_where_it_should() -> None:
    """Not always the best set, but never better than it."""
    surgeon = StructuredOBS.from_moment(*problem(4, 7, seed=2))
    best = [min(fitted_error(surgeon, list(c)) for c in combinations(range(7), k)) for k in range(8)]
    greedy = [fitted_error(surgeon, np.flatnonzero(surgeon.keeping(k)).tolist()) for k in range(8)]
    assert greedy[6] == pytest.approx(best[6])
    assert all(g >= b - 1e-9 for g, b in zip(greedy, best, strict=True))


def test_more_units_than_are_taken_out_at_once() -> None:
    """Panels change nothing: the same as rank-one updates written out at every step."""
    w, m = problem(6, 150, seed=3)
    h = m + m.diagonal().mean() * torch.eye(150)
    order, rises = eliminated(w, h, 1)
    inverse, weight, left = torch.linalg.inv(h), w.clone(), torch.ones(150, dtype=torch.bool)
    for unit, rise in zip(order, rises, strict=True):
        price = (weight.square().sum(0) / inverse.diagonal()).masked_fill(~left, torch.inf)
        assert int(price.argmin()) == unit
        assert float(price[unit]) == pytest.approx(rise, rel=1e-6)
        column = inverse[:, unit].clone()
        weight -= torch.outer(weight[:, unit], column) / column[unit]
        inverse -= torch.outer(column, column) / column[unit]
        left[unit], inverse[unit, unit] = False, 1.0


def test_a_projection_that_writes_nothing() -> None:
    surgeon = StructuredOBS.from_moment(torch.zeros(2, 3), torch.zeros(3, 3))
    assert surgeon.errors.tolist() == [0, 0, 0, 0]
    assert surgeon.error(surgeon.keeping(1)) == 0


def test_single_precision_is_kept_as_it_is() -> None:
    w, m = problem(3, 6)
    surgeon = StructuredOBS.from_moment(w.half(), m)
    assert (surgeon.weight.dtype, surgeon.curvature.dtype) == (torch.float32, torch.float32)
    assert surgeon.refitted(surgeon.keeping(4)).dtype == torch.float64


def test_bad_input() -> None:
    w, m = problem(3, 6)
    with pytest.raises(InputError, match="damping is 0; it must be a number above 0"):
        StructuredOBS.from_moment(w, m, 1, 0)
    with pytest.raises(InputError, match=r"moments have shape \[5, 5\]; a projection of 6 features needs \[6, 6\]"):
        StructuredOBS.from_moment(w, m[:5, :5])
    with pytest.raises(InputError, match="7 units are to stay of 6; valid: 0 to 6"):
        StructuredOBS.from_moment(w, m).keeping(7)


@pytest.mark.parametrize("block", [1, 3])
def test_an_order_that_is_given_is_kept_and_costs_what_it_does(block: int) -> None:
    """The surgeon's own order costs the same when it is given; any other one costs what its sets' errors do."""
    draw = torch.Generator().manual_seed(block)
    weight = torch.randn(4, 7, generator=draw, dtype=torch.float64)
    x = torch.randn(30, 7, generator=draw, dtype=torch.float64)
    own = StructuredOBS.from_moment(weight, x.T @ x, block)
    again = StructuredOBS.from_moment(weight, x.T @ x, block, order=own.order)
    np.testing.assert_allclose(again.errors, own.errors, rtol=1e-9, atol=1e-12)
    order = np.roll(own.order, 1)
    other = StructuredOBS.from_moment(weight, x.T @ x, block, order=order)
    for count in range(len(order) + 1):
        keep = other.keeping(count)
        assert not keep[order[: len(order) - count]].any()
        assert other.errors[len(order) - count] == pytest.approx(other.error(keep), abs=1e-9)
    with pytest.raises(InputError, match="each of"):
        StructuredOBS.from_moment(weight, x.T @ x, block, order=np.zeros(len(order), dtype=np.int64))
