"""Money is conserved to the last bit, whatever is traded."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from walras.errors import InputError
from walras.market import Ledger
from walras.models import inventory

SIZES: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 6}
UNITS = inventory(BertModel(BertConfig(vocab_size=9, max_position_embeddings=4, **SIZES)), block=2)
N = len(UNITS)
COST = np.full(N, 1 / N)
AMOUNT = st.one_of(st.just(0.0), st.floats(-12, 6).map(lambda exponent: 10.0**exponent))
COLUMN = st.lists(AMOUNT, min_size=N, max_size=N).map(np.array)
LEVELS = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), min_size=N, max_size=N).map(np.array)
ROUND = st.tuples(COLUMN, LEVELS, COLUMN)  # values, quantities, payments: some pay more than they earn


def ledger(endowment: float = 0.0) -> Ledger:
    return Ledger(UNITS, COST, ["truthful"] * len(COST), endowment)


@given(st.lists(ROUND, min_size=1, max_size=12), AMOUNT)
def test_money_is_conserved_and_wealth_is_endowment_and_surplus(rounds: list[Any], endowment: float) -> None:
    books = ledger(endowment)
    assert books.wealth.tolist() == [endowment] * N
    expected = [Fraction(endowment)] * N
    total, turnover = None, np.zeros(N)
    for played, (value, quantity, payment) in enumerate(rounds, 1):
        books.open(value)
        books.settle(value, quantity, value, payment)
        total = books.money if total is None else total
        assert isinstance(books.money, int)
        assert books.money == total
        expected = [e + Fraction(s) for e, s in zip(expected, books.surplus.tolist(), strict=True)]
        turnover += value + payment
        for wealth, amount, turned in zip(books.wealth.tolist(), expected, turnover.tolist(), strict=True):
            # Income and payment are each rounded to the nearest quantum; surplus and wealth are floats.
            most = (played + 0.5) * books.quantum + 4e-16 * (turned + abs(float(amount)))
            assert abs(Fraction(wealth) - amount) <= most
    assert total == round(Fraction(endowment) / Fraction(books.quantum)) * N


@given(COLUMN, AMOUNT)
def test_a_quantum_is_a_power_of_two_far_below_the_largest_value(value: Any, endowment: float) -> None:
    books = ledger(endowment)
    books.open(value)
    largest = max(value.max(), endowment)
    mantissa, _ = math.frexp(books.quantum)
    assert mantissa == 0.5
    assert not largest or largest <= books.quantum * 2**32 < 2 * largest
    quantum = books.quantum
    books.open(value * 1e3)
    assert books.quantum == quantum  # for good


def test_values_may_grow_beyond_what_int64_can_count() -> None:
    """A model that is sure of its labels has squared gradients of 1e-14 at first, and of 1 when it breaks down."""
    books = ledger()
    for value in (1e-14, 1.0, 1e6, 1e-14):
        books.open(np.full(N, value))
        books.settle(books.value, np.ones(N), books.value, np.zeros(N))
        assert books.money == 0
    assert books.wealth == pytest.approx(1_000_001 + 2e-14, rel=1e-14)
    assert books.wealth.dtype == np.float64


def test_what_cannot_be_counted_is_refused_and_not_booked() -> None:
    books = ledger(1.0)
    books.open(np.full(N, 1.0))
    with pytest.raises(InputError, match=r"1e\+308 cannot be counted in 2\.32831e-10"):
        books.settle(books.value, np.ones(N), books.value, np.full(N, 1e308))
    assert books.wealth.tolist() == [1.0] * N
    assert books.payment.tolist() == [0.0] * N


def test_tiny_values_have_a_quantum_too() -> None:
    books = ledger()
    books.open(np.full(N, 5e-324))
    books.settle(books.value, np.ones(N), books.value, np.zeros(N))
    assert books.quantum == 2.0**-1022


def test_welfare_counts_what_is_funded_at_its_true_value() -> None:
    books = ledger()
    books.open(np.arange(1.0, N + 1))
    books.settle(np.full(N, 99.0), np.array([1.0, 0.0, 0.5, 0.0, 0.0]), books.value, np.zeros(N))
    assert books.welfare == 1 + 3 / 2


def test_names_are_the_inventorys() -> None:
    assert ledger().name.tolist() == ["L0.H0", "L0.H1", "L0.F0", "L0.F1", "L0.F2"]


@pytest.mark.parametrize("endowment", [-1.0, math.nan, math.inf])
def test_an_endowment_must_be_a_number_of_at_least_0(endowment: float) -> None:
    with pytest.raises(InputError, match=f"endowment is {endowment}; it must be"):
        ledger(endowment)


def test_costs_must_be_as_many_as_units() -> None:
    with pytest.raises(InputError, match="3 costs for 5 units"):
        Ledger(UNITS, COST[:3], ["truthful"] * 3)


def test_books_begin_with_open_gates() -> None:
    assert torch.equal(torch.from_numpy(ledger().quantity), torch.ones(N, dtype=torch.float64))
