"""What is said first of a design's indices."""

import pytest

from walras.experiments.designs.sensitivity import Sensitivity, SettingIndex
from walras.experiments.designs.space_filling import _interval
from walras.experiments.reports.grids.sensitivity_report import _verdict, in_words


def told(*indices: SettingIndex) -> str:
    return _verdict(Sensitivity("halton:n=9", {"a": "0..1", "b": "0..1"}, indices, [], 9))


def index(output: str, setting: str, estimate: float, low: float | None, high: float | None) -> SettingIndex:
    return SettingIndex(output, setting, "rank correlation", estimate, low, high)


def test_a_large_negative_index_matters_more_than_a_small_positive_one() -> None:
    found = told(index("revenue", "a", -0.8, -0.95, -0.4), index("revenue", "b", 0.6, 0.1, 0.9))
    assert found == "What matters most, by rank correlation: a for revenue (-0.8 [-0.95, -0.4])."


def test_what_may_be_nothing_is_not_told_as_something() -> None:
    found = told(index("revenue", "a", -0.8, -0.99, 0.2), index("welfare", "a", 1.0, None, None))
    assert found == (
        "What matters most, by rank correlation: a for welfare (1). "
        "For revenue no setting can be told from one that does nothing."
    )


@pytest.mark.parametrize("r", [1.0, -1.0])
def test_ranks_that_agree_in_all_points_have_no_interval(r: float) -> None:
    assert _interval(r, 4) == (None, None)
    low, high = _interval(0.9 * r, 40)
    assert low is not None
    assert high is not None
    assert low < 0.9 * r < high


def test_names_in_a_sentence() -> None:
    assert in_words(["a"]) == "a"
    assert in_words(iter("abc")) == "a, b and c"
