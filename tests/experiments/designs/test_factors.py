"""Ranges and lists: how they are read, what is refused, and which values numbers from 0 to 1 choose."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from walras.errors import InputError
from walras.experiments.designs.factors import Choice, Range, is_range, read_factor


def read(given: Any, kind: type = float, tuples: bool = True) -> Any:
    return read_factor("budget", given, tuples, lambda: kind)


@pytest.mark.parametrize(
    ("given", "low", "high", "log"),
    [
        (["0.3..0.9"], 0.3, 0.9, False), ("30%..90%", 0.3, 0.9, False), (["1e-4..1:log"], 1e-4, 1, True),
        ((0.3, 0.9), 0.3, 0.9, False), ([".5...9"], 0.5, 0.9, False), (["-2..-1"], -2, -1, False),
        ((np.float64(1), 2), 1, 2, False),
    ],
)  # fmt: skip
def test_ranges(given: Any, low: float, high: float, log: bool) -> None:
    found = read(given)
    assert isinstance(found, Range)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.log == log


def test_lists_are_values() -> None:
    assert read(["a", "b"]) == Choice("budget", ("a", "b"))
    assert read((0.3, 0.9), tuples=False) == Choice("budget", (0.3, 0.9))
    assert read([0.3, 0.9]) == Choice("budget", (0.3, 0.9))
    assert not is_range("../my_rule.py:Mine")
    assert not is_range("../../own.py")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (["0.9..0.3"], float, "backwards"), (["0.5..0.5"], float, "empty"), (["nan..0.9"], float, "no number at one"),
        (["0.1..inf"], float, "no number at one"), ((0.1, float("nan")), float, "no number at one"),
        (["0.1..x"], float, "no number at one"), (["0..1:log"], float, "must begin above 0"),
        (["0.1..1:ln"], float, "ends with 'ln'"), (["0.1..1", "2"], float, "beside other values"),
        (["1.5..4"], int, "no whole number"), ("VCG", float, "list of values, or a range"), ([], float, "no value"),
        (3, float, "list of values, or a range"),
    ],
)  # fmt: skip
def test_what_is_refused(given: Any, kind: type, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(given, kind)


def test_a_setting_that_is_no_number_is_refused_by_who_knows_it() -> None:
    def no_number() -> type:
        raise InputError("mechanism is no number")

    with pytest.raises(InputError, match="mechanism is no number"):
        read_factor("mechanism", ["1..2"], True, no_number)


def test_whole_numbers_stay_whole_and_have_equal_chances() -> None:
    whole = read(["2..5"], int)
    drawn = Counter(whole.place((i + 0.5) / 400) for i in range(400))
    assert drawn == {2: 100, 3: 100, 4: 100, 5: 100}
    assert (whole.place(0.0), whole.place(1.0)) == (2, 5)
    assert all(type(value) is int for value in whole.levels(3))


def test_logarithmic_ranges() -> None:
    log = read(["1e-4..1:log"])
    assert log.levels(5) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])
    assert (log.place(0.0), log.place(0.5), log.place(1.0)) == pytest.approx((1e-4, 1e-2, 1))


def test_numbers_are_the_same_on_all_machines() -> None:
    assert read(["0.1..0.7"]).place(1 / 3) == 0.3  # 0.30000000000000004 or 0.29999999999999993 by the order of sums


def test_the_ends_are_never_passed() -> None:
    one = Range("x", 0.12345678912345, 0.98765432198765)
    assert (one.place(0.0), one.place(1.0)) == (one.low, one.high)


def test_a_range_in_a_full_grid_needs_its_number_of_levels() -> None:
    assert read(["0.3..0.9"]).levels(3) == pytest.approx((0.3, 0.6, 0.9))
    with pytest.raises(InputError, match="grid:n=5"):
        read(["0.3..0.9"]).levels(None)
