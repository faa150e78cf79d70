"""Every rule's fast kernel is the clearing of a market; by hand, at the limits, and through gradients."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import ShadowPrice
from walras.models.attention import (
    ATTENTION_RULES,
    AttentionRule,
    Entmax,
    Literal,
    NullKey,
    RandomKeys,
    Softmax,
    Sparsemax,
    Threshold,
    TopKeys,
)

INF, NAN, DOUBLE = torch.inf, float("nan"), torch.float64
Scores = Callable[..., Tensor]
RULES: list[AttentionRule] = [
    Softmax(),
    Softmax(0.4),
    Sparsemax(),
    Sparsemax(3.0),
    Entmax(),
    Entmax(temperature=4.0),
    Entmax(1.25, 0.5),
    Entmax(1),
    Entmax(2, 3.0),
    Entmax(3.0, 2.0),
    TopKeys(1),
    TopKeys(4),
    TopKeys(20),
    NullKey(2.0),
    NullKey(-INF),
    Threshold(0.0),
    Threshold(0.1),
    Threshold(1.5),
    Literal(3.0),
    RandomKeys(3, seed=1),
    RandomKeys(20, seed=1),
]
IDS = [repr(rule) for rule in RULES]


def cleared(rule: AttentionRule, scores: Tensor) -> Tensor:
    mechanism, bids, supply = rule.market(scores)
    return rule.settle(scores, mechanism(bids, supply).quantity)


@pytest.mark.spread
@pytest.mark.parametrize("mask", ["open", "causal", "padded"])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_the_kernel_is_the_clearing(rule: AttentionRule, dtype: torch.dtype, mask: str, scores: Scores) -> None:
    z = scores(dtype, mask)
    tolerance = 1e-12 if dtype == DOUBLE else 5e-5 if rule == Entmax(3.0, 2.0) else 2e-6  # its slope at 0 is infinite
    found = rule(z)
    torch.testing.assert_close(found, cleared(rule, z), rtol=tolerance, atol=tolerance)
    assert found.dtype == dtype
    assert bool((found >= 0).all())
    assert bool((found[z == -INF] == 0).all())
    total = found.sum(-1)[(z > -INF).any(-1)]
    spent = total <= 1 if rule == NullKey(2.0) else (total - 1).abs() <= 5 * tolerance
    assert bool(spent.all())
    if mask == "padded":
        assert found[1, 2, 8].tolist() == [0.0] * z.shape[-1]


def test_every_rule_of_the_list_is_tried() -> None:
    assert {type(rule) for rule in RULES} == set(ATTENTION_RULES.values())
    for name, rule in ATTENTION_RULES.items():
        assert rule.__name__ == name
        assert getattr(rule, "__final__", False)
        assert fields(rule)  # type: ignore[arg-type]  # the interface itself is no dataclass


@given(
    z=st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=12),
    temperature=st.floats(0.01, 100),
    alpha=st.sampled_from([1.0, 1.2, 1.5, 2.0, 3.0]),
)
def test_any_row_is_shared_out_whole_and_in_order(z: list[float], temperature: float, alpha: float) -> None:
    row = torch.tensor(z, dtype=DOUBLE)
    weights = Entmax(alpha, temperature)(row)
    torch.testing.assert_close(weights, cleared(Entmax(alpha, temperature), row), rtol=1e-9, atol=1e-9)
    assert weights.sum().item() == pytest.approx(1)
    assert bool((weights[row.argsort()].diff() >= 0).all())  # who bids more never gets less


# ---- by hand


def test_sparsemax_and_entmax_by_hand() -> None:
    # Sparsemax of 1, 0.6, -1: (1 + 0.6 - 1) / 2 = 0.3 is the price.
    z = torch.tensor([1.0, 0.6, -1.0], dtype=DOUBLE)
    torch.testing.assert_close(Sparsemax()(z), torch.tensor([0.7, 0.3, 0.0], dtype=DOUBLE))
    torch.testing.assert_close(Sparsemax(2.0)(2 * z), Sparsemax()(z))
    # 1.5-entmax: roots of the weights differ by half the scores' difference; 0.6 and 0.8.
    z = torch.tensor([0.0, 0.4, -INF, -2.0], dtype=DOUBLE)
    torch.testing.assert_close(Entmax()(z), torch.tensor([0.36, 0.64, 0.0, 0.0], dtype=DOUBLE))
    # 3-entmax: squares of the weights differ by twice the difference of scores; 0.36 and 0.16.
    z = torch.tensor([0.1, 0.0], dtype=DOUBLE)
    torch.testing.assert_close(Entmax(3.0)(z), torch.tensor([0.6, 0.4], dtype=DOUBLE))


@pytest.mark.parametrize("shift", [0.0, 3e4, -3e4])
def test_large_scores_do_not_overflow(shift: float) -> None:
    z = torch.tensor([5.0, 4.0, -3e4, -INF], dtype=torch.float32) + shift
    for rule in (Softmax(), Sparsemax(), Entmax(), Entmax(1.2)):
        weights = rule(z)
        torch.testing.assert_close(weights, rule(z - shift), rtol=2e-3, atol=2e-3)
        assert weights.sum().item() == pytest.approx(1, abs=1e-5)


def test_top_keys_by_hand() -> None:
    z = torch.tensor([3.0, 1.0, 2.0, 2.0, 2.0], dtype=DOUBLE).log()
    torch.testing.assert_close(TopKeys(1)(z), torch.tensor([1.0, 0, 0, 0, 0], dtype=DOUBLE))
    torch.testing.assert_close(TopKeys(3)(z), torch.tensor([3 / 7, 0, 2 / 7, 2 / 7, 0], dtype=DOUBLE))  # first of ties
    torch.testing.assert_close(TopKeys(5)(z), z.softmax(-1))


def test_null_key_by_hand() -> None:
    z = torch.tensor([1.0, 3.0], dtype=DOUBLE).log()
    torch.testing.assert_close(
        NullKey(torch.tensor(4.0, dtype=DOUBLE).log().item())(z), torch.tensor([1 / 8, 3 / 8]).double()
    )
    torch.testing.assert_close(NullKey(0.0)(z), torch.tensor([1 / 5, 3 / 5], dtype=DOUBLE))


def test_threshold_by_hand() -> None:
    z = torch.tensor([5.0, 3.0, 2.0], dtype=DOUBLE).log()  # weights 0.5, 0.3, 0.2
    torch.testing.assert_close(Threshold(0.2)(z), torch.tensor([0.75, 0.25, 0.0], dtype=DOUBLE))
    torch.testing.assert_close(Threshold(0.6)(z), torch.tensor([1.0, 0.0, 0.0], dtype=DOUBLE))
    torch.testing.assert_close(Threshold(0.9)(torch.zeros(3)), torch.tensor([1.0, 0.0, 0.0]))  # the first of equals
    torch.testing.assert_close(Threshold(0.0)(z), z.softmax(-1))


# ---- what a price does, and what it does not


@pytest.mark.parametrize("price", [-7.0, 0.5, 10.0, 100.0])
def test_the_printed_formula_does_nothing_and_the_working_one_does(price: float, scores: Scores) -> None:
    z = scores(DOUBLE, "padded")
    softmax = Softmax()(z)
    torch.testing.assert_close(Literal(price)(z), softmax, rtol=0, atol=1e-13)
    tax = torch.tensor(price, dtype=DOUBLE, requires_grad=True)
    task = (z.clamp(min=-1) * Literal(tax)(z)).sum()
    assert torch.autograd.grad(task, tax)[0].abs().item() < 1e-12
    norm = Literal(tax)(z).abs().sum()
    assert torch.autograd.grad(norm, tax)[0].abs().item() < 1e-12  # nor does a tax on the weights' sum
    mass = NullKey(tax)(z).sum()
    assert torch.autograd.grad(mass, tax)[0].item() < -1e-40
    assert NullKey(price)(z).sum() < softmax.sum()


def test_mass_falls_and_supports_shrink_with_the_price(scores: Scores) -> None:
    z = scores(DOUBLE, "causal")
    masses = [NullKey(p)(z).sum().item() for p in (-INF, -5.0, 0.0, 5.0, 50.0)]
    assert masses == sorted(masses, reverse=True)
    assert masses[0] == pytest.approx(2 * 3 * 9)
    assert masses[-1] < 1e-10
    supports = [(Threshold(p)(z) > 0).sum().item() for p in (0.0, 0.01, 0.1, 0.5, 1.0)]
    assert supports == sorted(supports, reverse=True)
    assert (supports[0], supports[-1]) == (2 * 3 * 45, 2 * 3 * 9)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 2.0, 3.0])
def test_support_grows_with_the_temperature(alpha: float, scores: Scores) -> None:
    z = scores(DOUBLE, "open")
    supports = [(Entmax(alpha, t)(z) > 0).sum().item() for t in (1e-4, 0.1, 1.0, 10.0, 1e6)]
    assert supports == sorted(supports)
    assert (supports[0], supports[-1]) == (2 * 3 * 9, 2 * 3 * 81)


def test_entmax_tends_to_its_limits(scores: Scores) -> None:
    z = scores(DOUBLE, "padded")
    assert torch.equal(Entmax(1)(z), Softmax()(z))
    assert torch.equal(Entmax(2)(z), Sparsemax()(z))
    torch.testing.assert_close(Entmax(1 + 1e-6)(z), Softmax()(z), rtol=0, atol=1e-4)
    torch.testing.assert_close(Entmax(1.5 + 1e-9)(z), Entmax(1.5)(z), rtol=0, atol=1e-7)  # search against sorting
    torch.testing.assert_close(Entmax(2 + 1e-9)(z), Entmax(2)(z), rtol=0, atol=1e-7)


# ---- the lottery


def test_lots_repeat_themselves_and_know_only_the_mask(scores: Scores) -> None:
    z = scores(DOUBLE, "padded")
    rule = RandomKeys(3, seed=5)
    assert torch.equal(rule(z), rule(z))
    assert torch.equal(rule(z) > 0, rule(-z.abs()) > 0)
    assert not torch.equal(rule(z) > 0, RandomKeys(3, seed=6)(z) > 0)
    kept = (rule(z) > 0).sum(-1)
    assert torch.equal(kept, (z > -INF).sum(-1).clamp(max=3))
    chosen = rule(z) > 0
    torch.testing.assert_close(rule(z)[0], (z.softmax(-1) * chosen / (z.softmax(-1) * chosen).sum(-1, True))[0])


def test_every_open_key_has_the_same_chance() -> None:
    z = torch.zeros(6000, 7)
    z[:, 2] = -INF
    share = (RandomKeys(2, seed=0)(z) > 0).double().mean(0)
    expected = torch.full((7,), 1 / 3, dtype=DOUBLE)
    expected[2] = 0
    torch.testing.assert_close(share, expected, rtol=0, atol=0.03)  # five standard deviations


# ---- gradients

SMOOTH: dict[str, Callable[[Any], AttentionRule]] = {
    "softmax": Softmax,
    "sparsemax": Sparsemax,
    "entmax 1.5": lambda t: Entmax(1.5, t),
    "entmax 1.25": lambda t: Entmax(1.25, t),
    "entmax 1": lambda t: Entmax(1, t),
    "entmax 3": lambda t: Entmax(3.0, t),
    "null key": NullKey,
    "literal": Literal,
    "threshold": lambda t: Threshold(t / 10),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradcheck(name: str) -> None:
    z = torch.tensor([[1.3, 0.9, -0.8, -2.1], [0.4, 1.1, 0.7, 2.0]], dtype=DOUBLE, requires_grad=True)
    closed = torch.tensor([[False, False, True, False], [False] * 4])
    setting = torch.tensor(0.73, dtype=DOUBLE, requires_grad=True)

    def weights(z: Tensor, setting: Tensor) -> Tensor:
        return SMOOTH[name](setting)(z.masked_fill(closed, -INF))

    assert torch.autograd.gradcheck(weights, (z, setting))
    assert weights(z, setting)[0, 2] == 0


@pytest.mark.parametrize("rule", [TopKeys(2), RandomKeys(2, seed=0), Threshold(0.05), Threshold(0.9)])
def test_gradcheck_of_rules_that_choose(rule: AttentionRule) -> None:
    z = torch.tensor([[1.3, 0.9, -0.8, -2.1], [0.4, 1.1, 0.7, 2.0]], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(rule, (z,))


@pytest.mark.parametrize("name", [name for name in SMOOTH if name != "threshold"])
def test_the_slope_is_that_of_the_clearing(name: str, scores: Scores) -> None:
    """Sorting and the clearing's search for the price are differentiated by the same Newton step."""
    goal = torch.randn(9, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    slopes = []
    for weigh in (lambda rule, z: rule(z), cleared):
        z, setting = scores(DOUBLE, "padded").requires_grad_(), torch.tensor(0.8, dtype=DOUBLE, requires_grad=True)
        found = torch.autograd.grad((weigh(SMOOTH[name](setting), z) * goal).sum(), (z, setting))
        slopes.append(found)
        assert bool(found[0].isfinite().all())
        assert bool((found[0][z == -INF] == 0).all())
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-9, atol=1e-9)
    assert slopes[0][0].abs().sum() > 0.1


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_closed_keys_leave_no_nan_in_any_gradient(rule: AttentionRule, scores: Scores) -> None:
    z = scores(torch.float32, "padded").requires_grad_()
    (slope,) = torch.autograd.grad(rule(z).square().sum(), z)
    assert bool(slope.isfinite().all())
    assert bool((slope[z == -INF] == 0).all())


@pytest.mark.parametrize("alpha", [1.25, 1.5, 2.0, 3.0])
def test_a_key_exactly_at_the_price_has_a_finite_slope(alpha: float) -> None:
    z = torch.tensor([1 / (alpha - 1), 0.0, -5.0], dtype=DOUBLE, requires_grad=True)
    weights = Entmax(alpha)(z)  # the first key takes all, at the score of the second
    (slope,) = torch.autograd.grad(weights.square().sum(), z)
    assert weights.tolist() == [1.0, 0.0, 0.0]
    assert bool(slope.isfinite().all())


def test_nothing_is_tracked_where_nothing_asks(scores: Scores) -> None:
    z = scores(torch.float32, "causal")
    assert not Entmax()(z).requires_grad
    with torch.no_grad():
        assert not Entmax()(z.requires_grad_()).requires_grad


# ---- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Softmax(0.0), "temperature is 0.0; it must be a positive number"),
        (lambda: Sparsemax(-1.0), "temperature is -1.0"),
        (lambda: Sparsemax(torch.tensor(NAN)), "temperature is nan"),
        (lambda: Entmax(1.5, INF), "temperature is inf"),
        (lambda: Entmax(0.9), "alpha is 0.9; it must be a number of at least 1"),
        (lambda: Entmax(NAN), "alpha is nan"),
        (lambda: TopKeys(0), "k is 0; it must be a whole number of keys, at least 1"),
        (lambda: TopKeys(True), "k is True"),
        (lambda: RandomKeys(2.5, seed=0), "k is 2.5"),  # type: ignore[arg-type]  # what is tested
        (lambda: NullKey(NAN), "price is nan; it must be a number"),
        (lambda: NullKey(INF), "price is inf"),
        (lambda: Threshold(NAN), "price is nan; it must be a number of at least 0"),
        (lambda: Threshold(-0.1), "price is -0.1"),
        (lambda: Literal(NAN), "price is nan"),
        (lambda: Literal(-INF), "price is -inf"),
    ],
)
def test_settings_out_of_range(make: Callable[[], AttentionRule], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_scores_that_are_no_numbers_are_refused_by_the_market() -> None:
    mechanism, _, _ = Softmax().market(torch.zeros(2))
    assert mechanism == ShadowPrice(price_floor=-INF)
    with pytest.raises(InputError, match=r"at \[1\] is nan"):
        Softmax().market(torch.tensor([0.0, NAN]))
