"""The points of a family: means over seeds, which of them are on the Pareto front, and values at equal compute."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from walras.experiments.grids.axes import RECIPE
from walras.experiments.grids.cell import BUDGET, SEED, Cell, told
from walras.experiments.grids.statistics import Interval
from walras.experiments.settings.names import NONE
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.sections import CONSTANT
from walras.parameters import split_spec

SERIES, SHARE, FRONT = "series", "used", "on the front"


def series_of(cell: Cell[TrainConfig], varied: Sequence[str]) -> str:
    """What the points of a line have in common: the recipe or the kind of price, and what else `varied`."""
    economy, recipe = cell.settings.economy, cell.settings.recipe_name
    price = split_spec(economy.pricing_text)[0]
    rise = "" if recipe or economy.rise == CONSTANT or "rise" in varied else f" {economy.rise}"
    others = [told(name, cell[name]) for name in varied if name not in (RECIPE, BUDGET)]
    return ", ".join([recipe or (f"{price}{rise}" if price != NONE else "without a price"), *others])


def points_of(cells: Sequence[Cell[TrainConfig]], table: pd.DataFrame, column: str, least: bool) -> pd.DataFrame:
    """A row per combination of labels: its series, mean share of compute, mean and interval of a figure, front or not.

    Args:
        cells: those that have finished, a row of the table each.
        table: of the grid.
        column: the figure.
        least: whether less of it is better.
    """
    axes = [*cells[0].labels]
    varied = [name for name in axes if len({cell[name] for cell in cells}) > 1]
    found = table.assign(**{SERIES: [series_of(cell, varied) for cell in cells]})
    rows: list[dict[str, Any]] = []
    for labels, own in found.groupby([SERIES, *axes], sort=False):
        value = Interval.from_sample(own[column])
        assert value is not None
        rows.append({
            **dict(zip([SERIES, *axes], labels, strict=True)), "seeds": value.count, SHARE: float(own[SHARE].mean()),
            "mean": value.mean, "low": value.low, "high": value.high,
        })  # fmt: skip
    points = pd.DataFrame(rows)
    return points.assign(**{FRONT: on_front(points[SHARE], points["mean"], least)})


def on_front(share: ArrayLike, value: ArrayLike, least: bool = False) -> list[bool]:
    """Of every point, whether no other one uses at most as much and is at least as good, and better in one of both."""
    x, y = np.asarray(share, dtype=float), np.asarray(value, dtype=float) * (-1 if least else 1)
    return [not bool(np.any((x <= x[i]) & (y >= y[i]) & ((x < x[i]) | (y > y[i])))) for i in range(len(x))]


def at_share(used: ArrayLike, value: ArrayLike, share: float) -> float | None:
    """The value on the straight lines between points at a share of compute; None beyond the outermost of them."""
    order = np.argsort(np.asarray(used, dtype=float), kind="stable")
    x, y = np.asarray(used, dtype=float)[order], np.asarray(value, dtype=float)[order]
    return float(np.interp(share, x, y)) if len(x) > 1 and x[0] <= share <= x[-1] else None


def at_equal_compute(
    table: pd.DataFrame, series: Sequence[str], column: str, compared: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """How far every point of some series lies above others where these use as much, seed by seed.

    Seeds in which the other series has no points on both sides of that share do not count.

    Args:
        table: a row per cell.
        series: of every row.
        column: the figure.
        compared: by series, those that its points are compared with.
    """
    rows: list[dict[str, Any]] = []
    lines = table.assign(**{SERIES: series})
    for own, others in compared.items():
        points = lines[lines[SERIES] == own]
        for recipe, point in points.groupby(RECIPE, sort=False):
            for other in others:
                apart = [a for a in (_apart(row, lines[lines[SERIES] == other], column) for row in
                                     point.to_dict("records")) if a is not None]  # fmt: skip
                found = Interval.from_sample(apart)
                if found is not None:
                    rows.append({RECIPE: recipe, SHARE: float(point[SHARE].mean()), "against": other,
                                 "pairs": found.count, "difference": found.mean, "low": found.low,
                                 "high": found.high})  # fmt: skip
    return pd.DataFrame(rows, columns=[RECIPE, SHARE, "against", "pairs", "difference", "low", "high"])


def _apart(row: Mapping[Any, Any], other: pd.DataFrame, column: str) -> float | None:
    """How far a cell lies above another series of its seed."""
    line = other[other[SEED] == row[SEED]]
    there = at_share(line[SHARE], line[column], float(row[SHARE]))
    return None if there is None else float(row[column]) - there
