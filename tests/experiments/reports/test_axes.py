"""Axes do not make small differences look large."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from walras.experiments.reports.axes import (
    LEAST_DIFFERENCE,
    LEAST_SPAN,
    difference_limits,
    from_zero,
    metric_limits,
    plain_ticks,
)

FIGURES = st.floats(-1e3, 1e3, allow_nan=False)


@given(st.lists(FIGURES, min_size=1), FIGURES)
def test_a_metrics_axis(values: list[float], dense: float) -> None:
    low, high = metric_limits(values, dense)
    assert low <= min(*values, dense) <= max(*values, dense) <= high
    assert high - low >= LEAST_SPAN * abs(dense) * (1 - 1e-9)
    assert low < high
    assert low >= 0 or min(*values, dense) < 0 or low == 0


@given(st.lists(FIGURES), FIGURES)
def test_an_axis_of_differences(values: list[float], dense: float) -> None:
    low, high = difference_limits(values, dense)
    assert low < 0 < high
    assert min([-low, high]) >= LEAST_DIFFERENCE * abs(dense)
    assert all(low <= value <= high for value in values)


def test_what_is_no_number_has_no_place() -> None:
    assert metric_limits([np.nan, np.inf, 20.0], 20.0) == pytest.approx((18, 22))
    assert metric_limits([], np.inf) == pytest.approx((0, 1.16))


def test_axes_from_zero_and_their_ticks() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2], [2e-7, 1e-7])
    from_zero(axes, [2e-7, 1e-7, np.nan])
    plain_ticks(axes.yaxis)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert axes.get_ylim()[0] == 0
    assert "0" in labels
    assert "1×10⁻⁷" in labels
    assert axes.yaxis.get_offset_text().get_text() == ""
    from_zero(axes, [])
    assert axes.get_ylim() == pytest.approx((0, 1.08))
