"""Numbers as reports and tables write them."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.experiments.reports.numbers import (
    ABSENT,
    amounts,
    change,
    count,
    decimals,
    difference,
    megabytes,
    number,
    percent,
    quality,
    short,
)
from walras.experiments.reports.pages.page import Table, cells

RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
NOISE = re.compile(r"nan|inf|[0-9][eE]|None|^-0$|^-0\.0*$")
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TOLD = (number, quality, difference, decimals, percent, short)


def read(told: str) -> float:
    """The number that a text says."""
    plain = told.replace(",", "")
    if "×10" in plain:
        mantissa, _, power = plain.partition("×10")
        return float(f"{mantissa}e{power.translate(RAISED)}")
    return float(plain)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ABSENT), (math.nan, ABSENT), (-5.551e-17, "0"), (0.0, "0"), (-0.0, "0"), (True, "yes"), (3, "3"),
        (4.0, "4"), (1234567, "1,234,567"), (0.12345, "0.123"), (0.99996, "1.00"), (123.456, "123"), (-1.5, "-1.50"),
        (2.87e-5, "2.87×10⁻⁵"), (9.9999e-5, "1.00×10⁻⁴"), (1.5e12, "1.50×10¹²"), (math.inf, "∞"), (-math.inf, "-∞"),
        (np.float64(0.5), "0.500"), (np.int64(7), "7"),
    ],
)  # fmt: skip
def test_one_number(value: object, expected: str) -> None:
    assert number(value) == expected


@given(NUMBERS, st.integers(2, 6))
def test_numbers_are_read_back(value: float, digits: int) -> None:
    told = number(value, digits)
    assert not NOISE.search(told)
    if math.isfinite(value):
        assert read(told) == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits), abs=1e-12)
        assert read(short(value, digits)) == pytest.approx(read(told))


@given(NUMBERS)
def test_nothing_writes_noise(value: float) -> None:
    for tell in TOLD:
        assert not NOISE.search(tell(value).removesuffix(" %").lstrip("+"))
    assert (number(value) == ABSENT) == math.isnan(value)


@given(st.lists(NUMBERS, min_size=1))
def test_rounding_beside_a_columns_largest_is_zero(values: list[float]) -> None:
    finite = [abs(value) for value in values if math.isfinite(value)]
    for value, told in zip(values, cells(values), strict=True):
        if math.isfinite(value) and abs(value) <= 1e-9 * max(finite):
            assert told == "0"
        elif math.isfinite(value) and abs(value) > 1e-12:
            assert told != "0"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (quality(0.8109), "0.8109"), (quality(-1e-6), "0.0000"), (quality(24.1234), "24.12"), (quality(1e5), "100,000"),
        (difference(0.01), "+0.0100"), (difference(-0.01), "-0.0100"), (difference(1e-9), "0.0000"),
        (difference(None), ABSENT), (percent(0.4994), "49.9 %"), (percent(-1e-9), "0.0 %"), (percent(None), ABSENT),
        (change(0.8, 1.0), "-20.0 %"), (change(1.1, 1.0), "+10.0 %"), (change(1.0, 1.0), "0.0 %"),
        (change(1.0, 0.0), ABSENT), (change(1.0, -1.0), ABSENT), (count(22713216), "22,713,216"), (count(None), ABSENT),
        (" ".join(amounts(717e6, 1434e6)), "717 M 1,434 M"), (" ".join(amounts(138e3, 295e3)), "138 k 295 k"),
        (" ".join(amounts(8.46e9, 17.7e9)), "8.5 G 17.7 G"),
        (" ".join(amounts(12, None)), f"12 {ABSENT}"), (" of ".join(megabytes(62828, 99584)), "0.063 of 0.100"),
        (" of ".join(megabytes(68.8e6, 90.9e6)), "68.8 of 90.9"), (short(0.5), "0.5"), (short(40.0), "40"),
        (short(1e-7), "1×10⁻⁷"), (short(1000.0), "1,000"), (decimals(0.5, 2), "0.50"),
    ],
)  # fmt: skip
def test_kinds_of_numbers(told: str, expected: str) -> None:
    assert told == expected


def test_a_table_from_a_frame() -> None:
    frame = pd.DataFrame({"unit": ["a", "b"], "value": [0.25, -5.551e-17], "rounds": [1, 2], "none": [np.nan, 1.0]})
    table = Table.from_frame(frame, "all")
    assert [*map(list, table.rows)] == [["a", "0.250", "1", ABSENT], ["b", "0", "2", "1"]]
