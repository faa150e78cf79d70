"""Axes place what they hold, and pictures are sound XML whatever they are told."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from walras.experiments.dashboard.pictures.plot import Axis, Plot, label, number

HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m"


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[1.0], [1e-9, 3.0], [2.0, 2.0], [], [math.nan, math.inf, 5.0], [1e-300, 1e300]])
def test_an_axis_holds_its_values_and_its_ticks(values: list[float], log: bool) -> None:
    axis = Axis.over("x", values, log=log)
    kept = [value for value in values if math.isfinite(value)]
    assert ((axis.place(kept) >= 0) & (axis.place(kept) <= 1)).all()
    assert len(axis.ticks) >= 1
    assert ((axis.place(axis.ticks) >= -1e-6) & (axis.place(axis.ticks) <= 1 + 1e-6)).all()


def test_what_is_not_above_0_has_no_place_on_a_logarithmic_axis() -> None:
    assert np.isnan(Axis("x", 1, 10, log=True).place([0.0, -1.0])).all()


def test_a_curve_is_broken_where_there_is_no_place() -> None:
    plot = Plot("t", Axis("x", 0, 3), Axis("y", 0, 1))
    svg = plot.line([0, 1, 2, 3], [0, math.inf, 0.5, 1], "red").svg()
    first = ElementTree.fromstring(svg).findall(".//{*}path[@stroke-width='2']")[0].attrib["d"]
    assert first.count("M") == 2
    assert first.count("L") == 1


def test_points_on_one_place_are_drawn_once() -> None:
    svg = Plot("t", Axis("x", 0, 1), Axis("y", 0, 1)).dots([0.5] * 9999, [0.5] * 9999, "red").svg()
    assert svg.count("h0") == 1


def test_a_picture_is_sound_whatever_it_is_told() -> None:
    plot = Plot(HOSTILE, Axis(HOSTILE, 0, 1), Axis(HOSTILE, 0, 1)).line([0, 1], [0, 1], "red", HOSTILE)
    root = ElementTree.fromstring(plot.svg())
    assert root.attrib["aria-label"].startswith("<script>")  # as text
    assert not root.findall(".//{*}script")


def test_labels_are_short_and_numbers_are_read_by_people() -> None:
    assert len(label("x" * 500)) == 70
    assert [number(value) for value in (0.00001234, math.nan, -math.inf)] == ["1.23e-05", "–", "-inf"]
