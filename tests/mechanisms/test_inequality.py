"""Gini, entropy and Lorenz curve: by hand, against their definitions, their bounds, and what no scores can escape."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms.inequality import entropy, entropy_bound, gini, gini_bound, lorenz

FLOAT = torch.float64


def vector(*amounts: float) -> Tensor:
    return torch.tensor(amounts, dtype=FLOAT)


@st.composite
def sparse(draw: Any) -> tuple[Tensor, Tensor]:
    """Amounts of which some are 0 and at least one is not; who counts: all who have something, and some others."""
    n = draw(st.integers(1, 12))
    amount = draw(st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 1e3)), min_size=n, max_size=n))
    amount[draw(st.integers(0, n - 1))] = draw(st.floats(1e-3, 1e3))
    held = torch.tensor(amount, dtype=FLOAT)
    extra = torch.tensor(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return held, (held > 0) | extra


@pytest.mark.parametrize(
    ("amounts", "raw", "normalised", "nats"),
    [
        ((1.0, 1.0, 1.0, 1.0), 0.0, 0.0, math.log(4)),
        ((0.0, 0.0, 0.0, 7.0), 3 / 4, 1.0, 0.0),
        ((3.0, 1.0), 1 / 4, 1 / 2, 2 * math.log(2) - 0.75 * math.log(3)),
        ((0.0, 5.0, 5.0), 1 / 3, 1 / 2, math.log(2)),
        ((0.1, 0.2, 0.3, 0.4), 0.25, 1 / 3, 1.2798542258336676),
        ((2.0,), 0.0, 0.0, 0.0),
        ((0.0, 0.0), 0.0, 0.0, math.log(2)),
    ],
)
def test_by_hand(amounts: tuple[float, ...], raw: float, normalised: float, nats: float) -> None:
    a = vector(*amounts)
    assert gini(a, normalised=False).item() == pytest.approx(raw, abs=1e-15)
    assert gini(a).item() == pytest.approx(normalised, abs=1e-15)
    assert entropy(a).item() == pytest.approx(nats, abs=1e-15)
    assert entropy(a, base=2).item() == pytest.approx(nats / math.log(2), abs=1e-15)


def test_over_all_and_over_kept_only() -> None:
    a = torch.tensor([[0.0, 0.25, 0.75, 9.0], [0.5, 0.5, 0.0, 0.0]], dtype=FLOAT)
    open_ = torch.tensor([[True, True, True, False], [True, True, True, True]])
    assert gini(a, open_).tolist() == pytest.approx([0.75, 2 / 3])
    assert gini(a, open_ & (a > 0)).tolist() == pytest.approx([0.5, 0.0])
    assert entropy(a, open_).tolist() == pytest.approx([0.5623351446188083, math.log(2)])


def test_nobody_is_nan_and_one_mask_serves_many_rows() -> None:
    nobody = torch.zeros(3, dtype=torch.bool)
    assert gini(torch.ones(2, 3), nobody).isnan().all()
    assert entropy(torch.ones(2, 3), nobody).isnan().all()
    first = torch.tensor([True, True, False])
    assert gini(torch.tensor([[3, 1, 5], [1, 1, 5]]), first).tolist() == [0.5, 0.0]  # counts are taken for real numbers


@given(sparse())
def test_gini_is_the_mean_difference_of_eq_4(drawn: tuple[Tensor, Tensor]) -> None:
    amount, mask = drawn
    a = amount[mask]
    expected = (a[:, None] - a).abs().sum() / (2 * len(a) * a.sum())
    assert gini(amount, mask, normalised=False).item() == pytest.approx(expected.item(), abs=1e-12)
    if len(a) > 1:
        assert gini(amount, mask).item() == pytest.approx(expected.item() * len(a) / (len(a) - 1), abs=1e-12)


@given(sparse())
def test_bounds_of_a_support_of_k(drawn: tuple[Tensor, Tensor]) -> None:
    """At most k of n hold anything: G >= 1 - k/n and H <= ln k, with equality where they hold the same."""
    amount, mask = drawn
    k, n = (amount > 0).sum().double(), mask.sum().double()
    for normalised in (True, False):
        bound = gini_bound(k, n, normalised=normalised)
        assert gini(amount, mask, normalised=normalised) >= bound - 1e-12
        assert gini((amount > 0).double(), mask, normalised=normalised).item() == pytest.approx(bound.item(), abs=1e-12)
    assert gini_bound(k, n, normalised=False).item() == pytest.approx(1 - k.item() / n.item())
    assert entropy(amount, mask) <= entropy_bound(k) + 1e-12
    assert entropy((amount > 0).double()).item() == pytest.approx(math.log(k.item()), abs=1e-12)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=20), st.integers(1, 20))
def test_top_k_raises_gini_and_lowers_entropy_whatever_the_scores(scores: list[float], k: int) -> None:
    """The renormalised top k majorise all n, and both measures are Schur-monotone: no scores can do otherwise."""
    p = torch.tensor(scores, dtype=FLOAT).softmax(-1)
    kept = torch.zeros_like(p).scatter(-1, p.topk(min(k, len(scores))).indices, 1.0)
    q = p * kept / (p * kept).sum()
    assert (q.sort(descending=True).values.cumsum(-1) >= p.sort(descending=True).values.cumsum(-1) - 1e-12).all()
    assert gini(q) >= gini(p) - 1e-12
    assert entropy(q) <= entropy(p) + 1e-12


@given(sparse())
def test_lorenz_curve(drawn: tuple[Tensor, Tensor]) -> None:
    """From (0, 0) to (1, 1), convex, below the diagonal; Gini is twice the area in between."""
    people, held = lorenz(*drawn)
    assert people.shape == held.shape == (len(drawn[0]) + 1,)
    assert people[[0, -1]].tolist() == [0, 1]
    assert held[[0, -1]].tolist() == pytest.approx([0, 1])
    assert (held <= people + 1e-12).all()
    area = torch.trapezoid(held, people)
    assert 1 - 2 * area.item() == pytest.approx(gini(*drawn, normalised=False).item(), abs=1e-12)


def test_lorenz_by_hand() -> None:
    people, held = lorenz(vector(3, 1, 0, 9), torch.tensor([True, True, True, False]))
    assert people.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert held.tolist() == pytest.approx([0, 0, 0, 1 / 4, 1])
    assert lorenz(vector(0, 0))[1].tolist() == [0, 0.5, 1]


def test_gradients() -> None:
    a = torch.tensor([[0.1, 0.5, 0.2, 0.7]], dtype=FLOAT, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: (gini(x), entropy(x)), (a,))


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
def test_amounts_that_cannot_be_shared(bad: float) -> None:
    for measure in (gini, entropy, lorenz):
        with pytest.raises(InputError, match="finite numbers of at least 0"):
            measure(vector(1.0, bad))
        measure(vector(1.0, bad), torch.tensor([True, False]))  # who does not count may hold anything


@pytest.mark.parametrize("base", [1.0, 0.5, math.nan, math.inf])
def test_a_base_that_is_none(base: float) -> None:
    with pytest.raises(InputError, match="base is"):
        entropy(vector(1, 2), base=base)
