"""Settings that meet a budget, against closed forms, and what they do in a real model."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from walras.errors import InputError
from walras.models.attention import (
    Budget,
    Entmax,
    NullKey,
    Threshold,
    attention_market,
    price_for_mass,
    price_for_support,
    temperature_for_support,
)

INF, NAN, DOUBLE = torch.inf, float("nan"), torch.float64
Scores = Callable[..., Tensor]


def critical(scores: Tensor, alpha: float) -> Tensor:
    """The temperature [..., keys] above which each key gets something, at most once for equal keys.

    Key j is in the support where sum_i max((alpha - 1) (s_i - s_j) / T, 0)^(1 / (alpha - 1)) < 1, that is where T is
    above (alpha - 1) times the 1 / (alpha - 1) norm of max(s_i - s_j, 0).
    """
    above = (scores.unsqueeze(-2) - scores.unsqueeze(-1)).clamp(min=0)
    norm: Tensor = (above ** (1 / (alpha - 1))).sum(-1) ** (alpha - 1)
    return (alpha - 1) * norm


def support(scores: Tensor, weights: Tensor) -> float:
    return (weights > 0).sum(-1)[(scores > -INF).any(-1)].double().mean().item()


@pytest.mark.spread
@pytest.mark.parametrize("alpha", [1.3, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("k", [2, 3.5, 8])
def test_the_temperature_is_that_of_the_last_key_let_in(k: float, alpha: float, scores: Scores) -> None:
    z = scores(DOUBLE, "open")
    number = int(k * 2 * 3 * 9)
    expected = critical(z, alpha).flatten().sort().values[number - 1]
    budget = temperature_for_support(z, k, alpha)
    torch.testing.assert_close(budget.setting, expected, rtol=1e-4, atol=0)
    assert budget == Budget(budget.setting, k, False)
    assert support(z, Entmax(alpha, budget.setting)(z)) == k
    assert support(z, Entmax(alpha, 0.99 * budget.setting)(z)) < k


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("mask", ["causal", "padded"])
def test_supports_are_met_under_masks(mask: str, dtype: torch.dtype, scores: Scores) -> None:
    z = scores(dtype, mask)
    for found, rule in (
        (temperature_for_support(z, 3), partial(Entmax, 2.0)),
        (temperature_for_support(z, 3, 1.5), partial(Entmax, 1.5)),
        (price_for_support(z, 3), Threshold),
    ):
        assert support(z, rule(found.setting)(z)) == found.reached
        assert 3 <= found.reached < 3.05  # 53 or 54 rows: steps of 1 / 54
        assert found.setting.dtype == dtype


def test_a_threshold_that_keeps_k_keys_lies_at_the_next_weight(scores: Scores) -> None:
    z = scores(DOUBLE, "open")
    found = price_for_support(z, 2)
    # Every row keeps its best key whatever it is worth; the others are kept from the greatest weight down.
    weights = z.softmax(-1).sort(-1, descending=True).values
    others = weights[..., 1:].flatten().sort(descending=True).values
    assert others[54] <= found.setting < others[53]
    assert (found.reached, found.inactive) == (2.0, False)


@pytest.mark.parametrize("mass", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("mask", ["open", "causal", "padded"])
def test_masses_are_met(mask: str, mass: float, scores: Scores) -> None:
    z = scores(DOUBLE, mask)
    found = price_for_mass(z, mass)
    spent = NullKey(found.setting)(z).sum(-1)[(z > -INF).any(-1)]
    assert spent.mean().item() == pytest.approx(mass, abs=1e-12)
    assert found.reached == pytest.approx(mass, abs=1e-12)
    assert not found.inactive
    assert price_for_mass(z.float(), mass).setting.item() == pytest.approx(found.setting.item(), rel=1e-4, abs=1e-4)


def test_the_price_of_a_mass_by_hand() -> None:
    # The row is worth 1 + 3 = 4, so that a null key of 12 leaves it a quarter.
    z = torch.tensor([[1.0, 3.0, 0.0]], dtype=DOUBLE).log()
    assert price_for_mass(z, 0.25).setting.exp().item() == pytest.approx(12)


def test_a_mass_of_one_needs_no_price(scores: Scores) -> None:
    assert price_for_mass(scores(), 1.0) == Budget(torch.tensor(-INF), 1.0, True)


def test_the_price_of_a_mass_is_differentiable() -> None:
    z = torch.tensor([[1.3, 0.9, -0.8, -2.1], [0.4, 1.1, 0.7, 2.0]], dtype=DOUBLE, requires_grad=True)
    closed = torch.tensor([[False, False, True, False], [False] * 4])

    def price(z: Tensor) -> Tensor:
        return price_for_mass(z.masked_fill(closed, -INF), 0.6).setting

    assert torch.autograd.gradcheck(price, (z,))

    def weights(z: Tensor) -> Tensor:  # at a price that follows the scores the mass stays where it is
        return NullKey(price(z))(z.masked_fill(closed, -INF))

    assert torch.autograd.gradcheck(weights, (z,))
    (slope,) = torch.autograd.grad(weights(z).sum(), z)
    torch.testing.assert_close(slope, torch.zeros_like(slope))


@given(
    z=st.lists(st.lists(st.integers(-20, 20), min_size=5, max_size=5), min_size=1, max_size=6),
    k=st.floats(1, 7),
    alpha=st.sampled_from([1.5, 2.0]),
)
def test_no_lower_temperature_will_do_ties_or_not(z: list[list[int]], k: float, alpha: float) -> None:
    rows = torch.tensor(z, dtype=DOUBLE)
    found = temperature_for_support(rows, k, alpha)
    assert found.reached >= min(k, 5)
    assert found.inactive == (k >= 5)
    cooler = support(rows, Entmax(alpha, found.setting * (1 - 1e-4))(rows))
    least = support(rows, Entmax(alpha, 1e-6)(rows))  # equal best keys come together
    assert cooler < min(k, 5) or cooler == least


def test_budgets_of_more_keys_than_there_are_say_so(scores: Scores) -> None:
    z = scores(DOUBLE, "padded")
    everything = support(z, z.softmax(-1))
    for k in (everything, 9, 1000):
        for found in (temperature_for_support(z, k), price_for_support(z, k)):
            assert found.inactive
            assert found.reached == everything
    assert not temperature_for_support(z, everything - 0.1).inactive


def test_a_budget_of_one_key_keeps_the_best(scores: Scores) -> None:
    z = scores(DOUBLE, "causal")
    hard = torch.nn.functional.one_hot(z.argmax(-1), 9).double()
    for weights in (
        Entmax(2.0, temperature_for_support(z, 1).setting)(z),
        Threshold(price_for_support(z, 1).setting)(z),
    ):
        torch.testing.assert_close(weights, hard)


def test_rows_that_do_not_count_change_nothing(scores: Scores) -> None:
    z = scores(DOUBLE, "open")
    queries = torch.tensor([[True] * 9, [True] * 5 + [False] * 4]).unsqueeze(1)  # [batch, 1, queries]
    other = z.clone()
    other[1, :, 5:] *= 7
    for meet in (
        partial(temperature_for_support, k=3.0),
        partial(price_for_support, k=3.0),
        partial(price_for_mass, mass=0.5),
    ):
        assert torch.equal(meet(z, rows=queries).setting, meet(other, rows=queries).setting)
        assert not torch.equal(meet(z).setting, meet(other).setting)
    kept = torch.cat([z[0].flatten(0, 1), z[1, :, :5].flatten(0, 1)])
    assert torch.equal(
        temperature_for_support(z, 3.0, rows=queries).setting, temperature_for_support(kept, 3.0).setting
    )


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_budget_is_met_in_a_real_model(name: str, tiny: Callable[..., Any]) -> None:
    model, seen = tiny(name), list[tuple[Tensor, Tensor]]()
    real = model.batch["attention_mask"].bool().unsqueeze(1)

    def watch(layer: int, scores: Tensor, weights: Tensor) -> None:
        if layer == 0:
            seen.append((scores.detach(), weights.detach()))

    with attention_market(model.model, [None] * 3, watch):
        model.logits()
    found = temperature_for_support(seen[0][0], 2.0, rows=real)
    with attention_market(model.model, [Entmax(2.0, found.setting), None, None], watch):
        model.logits()
    kept = (seen[1][1] > 0).sum(-1)[real.expand(seen[1][1].shape[:-1])].double().mean().item()
    assert kept == pytest.approx(2.0, abs=0.01)
    dense = (seen[0][1] > 0).sum(-1)[real.expand(seen[1][1].shape[:-1])].double().mean().item()
    assert dense > 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda z: temperature_for_support(z, 0.5), "k is 0.5; it must be a number of keys, at least 1"),
        (lambda z: temperature_for_support(z, NAN), "k is nan"),
        (lambda z: price_for_support(z, 0), "k is 0"),
        (lambda z: price_for_support(z, INF), "k is inf"),
        (lambda z: temperature_for_support(z, 2, alpha=1.0), "alpha is 1.0; .*softmax keeps every key"),
        (lambda z: price_for_mass(z, 0.0), "mass is 0.0; it must be above 0 and at most 1"),
        (lambda z: price_for_mass(z, 1.01), "mass is 1.01"),
        (lambda z: price_for_mass(z, NAN), "mass is nan"),
        (lambda z: price_for_mass(z, 0.5, torch.ones(3, 3)), r"rows has shape \[3, 3\]; it must fit \[2, 3, 9\]"),
        (lambda z: price_for_mass(z, 0.5, torch.zeros(9)), "none of 54 rows of scores counts"),
        (lambda z: price_for_support(z - INF, 2), "none of 54 rows"),
    ],
)
def test_budgets_out_of_range(make: Callable[[Tensor], Budget], message: str, scores: Scores) -> None:
    with pytest.raises(InputError, match=message):
        make(scores(DOUBLE, "open"))
