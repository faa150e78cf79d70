"""The map has a cell per unit, says which unit is where, and colours what it says it colours."""

import base64
import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from walras.experiments.dashboard.pictures.unit_map import COLOURS, GONE, MOST_CELLS, UnitMap, scaled

Agents = Callable[..., pd.DataFrame]


def painted(svg: str) -> np.ndarray:
    """The cells of a map [layers, columns, 4]."""
    found = re.search(r"base64,([^\"]+)", svg)
    assert found is not None
    cells: np.ndarray = np.asarray(imread(io.BytesIO(base64.b64decode(found[1])), format="png"))
    whole: np.ndarray = np.rint(cells * 255).astype(int)
    return whole


def test_there_is_a_map_per_kind_of_unit(agents: Agents) -> None:
    heads, neurons = UnitMap.maps(agents())
    assert (heads.kind, heads.layers, heads.columns) == ("head", (0, 1, 2), 4)
    assert (neurons.kind, neurons.columns) == ("ffn", 16)


def test_a_click_finds_the_unit_of_its_cell(agents: Agents) -> None:
    frame = agents()
    _, neurons = UnitMap.maps(frame)
    assert neurons.unit_at(frame, 0.0, 0.0) == "L0.F0"
    assert neurons.unit_at(frame, 0.999, 0.999) == "L2.F15"
    assert neurons.unit_at(frame, 5.5 / 16, 1.5 / 3) == "L1.F5"
    assert neurons.unit_at(frame, 7.0, -3.0) == "L0.F15"  # beside the picture: the nearest


def test_where_a_layer_has_fewer_units_a_click_finds_none(agents: Agents) -> None:
    frame = agents()
    frame = frame[~((frame["layer"] == 1) & (frame["kind"] == "ffn") & (frame["index"] > 3))]
    _, neurons = UnitMap.maps(frame)
    assert neurons.unit_at(frame, 0.9, 0.5) == ""


def test_gates_have_the_colours_of_0_and_1_and_units_that_bid_nothing_are_pink(agents: Agents) -> None:
    frame = agents()
    frame.loc[1, ["bid", "quantity"]] = 0.0
    heads, _ = UnitMap.maps(frame)
    cells = painted(heads.svg(frame, "quantity"))
    assert cells.shape == (3, 4, 4)
    assert tuple(cells[0, 0]) == tuple(cells[0, 1]) == GONE
    funded = frame[frame["kind"] == "head"]["quantity"].to_numpy().reshape(3, 4) > 0
    assert (cells[funded].sum(-1) > cells[~funded].sum(-1).max()).all()


@pytest.mark.parametrize("column", COLOURS)
def test_a_map_of_any_column_is_sound(agents: Agents, column: str) -> None:
    frame = agents()
    for unit_map in UnitMap.maps(frame):
        root = ElementTree.fromstring(unit_map.svg(frame, column, picked="L1.F2"))
        assert len(root.findall(".//{*}rect[@data-cells]")) == 1


def test_the_picked_unit_is_framed(agents: Agents) -> None:
    frame = agents()
    heads, neurons = UnitMap.maps(frame)
    frames = [m.svg(frame, "value", "L1.F2").count('stroke-width="2.5"') for m in (heads, neurons)]
    assert frames == [0, 1]


def test_of_wide_layers_a_cell_is_some_neighbours(agents: Agents) -> None:
    frame = agents(heads=1, neurons=1000, layers=2)
    _, neurons = UnitMap.maps(frame)
    svg = neurons.svg(frame, "quantity")
    assert painted(svg).shape[1] <= MOST_CELLS
    assert "3 a cell" in svg


def test_what_a_map_takes_does_not_depend_on_the_numbers_that_units_bear(agents: Agents) -> None:
    frame = agents(heads=1, neurons=8, layers=2)
    frame.loc[frame.index[-1], "index"] = 2**31 - 1  # dense, 32 GiB
    _, neurons = UnitMap.maps(frame)
    assert painted(neurons.svg(frame, "quantity")).shape[1] <= MOST_CELLS
    assert neurons.unit_at(frame, 1.0, 1.0) == frame["agent"].iloc[-1]


def test_money_is_scaled_by_its_logarithm() -> None:
    values = np.array([1.0, 0.1, 0.001, 1e-9, 0.0, -5.0])
    places, low, high = scaled(values, "value", pd.Series(values))
    assert places.tolist() == pytest.approx([1, 2 / 3, 0, 0, 0, 0])
    assert (low, high) == pytest.approx((0.001, 1.0))


def test_where_nobody_has_anything_all_is_dark() -> None:
    places, _, high = scaled(np.zeros(3), "wealth", pd.Series(np.zeros(3)))
    assert not places.any()
    assert high == 0
