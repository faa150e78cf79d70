"""Points of a family by hand: fronts, values between points, and differences at equal compute."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.experiments.training.families.points import at_equal_compute, at_share, on_front

UNIT = st.floats(0, 1)


def test_a_front_by_hand() -> None:
    share, value = [1.0, 0.5, 0.5, 0.4, 0.3, 0.3], [0.9, 0.8, 0.7, 0.85, 0.2, 0.2]
    assert on_front(share, value) == [True, False, False, True, True, True]  # equal points do not beat each other
    assert on_front(share, [-v for v in value], least=True) == [True, False, False, True, True, True]
    assert on_front([0.5, 0.5], [0.7, 0.8]) == [False, True]
    assert on_front([0.5, 0.6], [0.8, 0.8]) == [True, False]  # the same for less


@given(points=st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=20))
def test_whoever_is_off_the_front_is_beaten_by_somebody_on_it(points: list[tuple[float, float]]) -> None:
    share, value = zip(*points, strict=True)
    front = on_front(share, value)
    assert any(front)
    for (x, y), on in zip(points, front, strict=True):
        beaten = any(
            a <= x and b >= y and (a, b) != (x, y) for (a, b), there in zip(points, front, strict=True) if there
        )
        assert on != beaten


def test_values_lie_on_straight_lines_between_points_and_nowhere_else() -> None:
    assert at_share([0.8, 0.4], [0.9, 0.7], 0.5) == pytest.approx(0.75)
    assert at_share([0.4, 0.8], [0.7, 0.9], 0.4) == pytest.approx(0.7)
    assert at_share([0.4, 0.8], [0.7, 0.9], 0.39) is None
    assert at_share([0.4, 0.8], [0.7, 0.9], 0.81) is None
    assert at_share([0.4], [0.7], 0.4) is None


def test_differences_at_equal_compute_are_paired_by_seed() -> None:
    rows = [
        ("tax 1", 0, 0.6, 0.80), ("tax 1", 1, 0.5, 0.90), ("tax 1", 2, 0.95, 0.9),
        *(("k-prune", seed, 0.4, 0.6 + 0.1 * seed) for seed in (0, 1, 2)),
        *(("k-prune", seed, 0.8, 0.8 + 0.1 * seed) for seed in (0, 1, 2)),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["recipe", "seed", "used", "value"])
    series = ["tax" if name.startswith("tax") else name for name in table["recipe"]]
    (found,) = at_equal_compute(table, series, "value", {"tax": ["k-prune"]}).to_dict("records")
    assert (found["recipe"], found["against"], found["pairs"]) == ("tax 1", "k-prune", 2)  # 0.95 lies beyond
    assert found["difference"] == pytest.approx(((0.80 - 0.70) + (0.90 - 0.75)) / 2)
    assert found["low"] < found["difference"] < found["high"]
