"""The units of a network as a map, a picture per kind: a row per layer, a cell per unit, coloured by a column."""

import base64
import io
from dataclasses import dataclass
from typing import Any, final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.image import imsave
from numpy.typing import NDArray

from walras.experiments.dashboard.pictures.plot import LEFT, RIGHT, WIDTH, label, number, opening, text
from walras.experiments.reports.plots import titles

COLOURS = {"quantity": "gate", "value": "value", "wealth": "wealth", "bid": "bid", "surplus": "surplus"}
"""Columns of a trace by which a map can be coloured, and what they are called."""
MOST_CELLS = 384
"""Cells of a row; of more units, a cell is some neighbours, and its colour their mean."""
DECADES = 3
"""Powers of ten of money that are told apart; what is less is as dark as 0."""
GONE = (204, 121, 167, 255)  # a pink that no shade of the map comes near
_MAP = "cividis"  # even to the eye, and to those who do not tell red from green
_TOP, _BOTTOM, _TALLEST = 26, 58, 520


@final
@dataclass(frozen=True)
class UnitMap:
    """The units of one kind: which layers there are, and how many cells a layer has."""

    kind: str
    layers: tuple[int, ...]
    columns: int

    @staticmethod
    def maps(agents: pd.DataFrame) -> "list[UnitMap]":
        """One per kind of unit, in the order in which they come."""
        found = []
        for kind in map(str, agents["kind"].unique()):
            rows = agents[agents["kind"] == kind]
            layers = tuple(sorted(int(layer) for layer in rows["layer"].unique()))
            found.append(UnitMap(kind, layers, int(rows["index"].max()) + 1))
        return found

    def svg(self, agents: pd.DataFrame, column: str, picked: str = "") -> str:
        """The map of one round, the picked unit framed; pink are units without compute that bid nothing."""
        rows = agents[agents["kind"] == self.kind]
        values, low, high = scaled(rows[column].to_numpy(dtype=np.float64), column, agents[column])
        gone = ((rows["bid"] <= 0) & (rows["quantity"] <= 0)).to_numpy()
        grid, together = self._grid(rows, np.where(gone, np.nan, values))
        left, _ = self._grid(rows, gone.astype(np.float64))
        height = float(np.clip(24 * len(self.layers), 60, _TALLEST))
        width = WIDTH - LEFT - RIGHT
        funded = int((rows["quantity"] > 0).sum())
        name = titles(self.kind)
        title = f"{name[:1].upper()}{name[1:]}: {funded} of {len(rows)} funded"
        parts = [opening(title, WIDTH, height + _TOP + _BOTTOM), text(LEFT, 15, title, "start", 13, bold=True)]
        where = f'x="{LEFT}" y="{_TOP}" width="{width}" height="{height:g}"'
        parts.append(
            f'<image {where} preserveAspectRatio="none" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{_png(grid, left)}"/>'
        )
        parts.append(f'<rect {where} fill="transparent" data-cells="{label(self.kind)}" style="cursor:pointer"/>')
        parts += [self._frame(rows, picked, width, height), *self._ticks(height)]
        more = f", {together} a cell" if together > 1 else ""
        parts.append(text(LEFT + width / 2, _TOP + height + 28, f"unit in the layer (of {self.columns}{more})"))
        parts.append(_scale(_TOP + height + 38, COLOURS[column], low, high, column != "quantity"))
        return "".join([*parts, "</svg>"])

    def unit_at(self, agents: pd.DataFrame, x: float, y: float) -> str:
        """The unit at a place of the picture, both from 0 to 1; "" where there is none."""
        rows = agents[agents["kind"] == self.kind]
        layer = self.layers[int(np.clip(y * len(self.layers), 0, len(self.layers) - 1))]
        index = int(np.clip(x * self.columns, 0, self.columns - 1))
        found = rows[(rows["layer"] == layer) & (rows["index"] == index)]
        return str(found["agent"].iloc[0]) if len(found) else ""

    def _grid(self, rows: pd.DataFrame, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
        """Cells [layers, cells], NaN where there is no unit, and how many units a cell is.

        The memory that it takes depends on the rows alone, not on the numbers that units bear in a stranger's file.
        """
        together = -(-self.columns // MOST_CELLS)
        known = np.isfinite(values)
        places = np.searchsorted(self.layers, rows["layer"]), rows["index"].to_numpy() // together
        sums, counts = np.zeros((2, len(self.layers), -(-self.columns // together)))
        np.add.at(sums, places, np.where(known, values, 0.0))
        np.add.at(counts, places, known)
        return np.where(counts > 0, sums / counts.clip(1), np.nan), together

    def _frame(self, rows: pd.DataFrame, picked: str, width: float, height: float) -> str:
        found = rows[rows["agent"] == picked]
        if not len(found):
            return ""
        high, wide = height / len(self.layers), width / self.columns
        y = _TOP + self.layers.index(int(found["layer"].iloc[0])) * high
        x, shown = LEFT + int(found["index"].iloc[0]) * wide, max(wide, 5.0)
        x += (wide - shown) / 2
        frame = f'<rect x="{x:.1f}" y="{y:.1f}" width="{shown:.1f}" height="{high:.1f}" fill="none" '
        return f'{frame} stroke-width="2.5" style="stroke:var(--second)" pointer-events="none"/>'

    def _ticks(self, height: float) -> list[str]:
        """Numbers of layers, and of the first and the last unit."""
        high, every = height / len(self.layers), -(-len(self.layers) // 24)
        parts = [
            text(LEFT - 6, _TOP + (i + 0.5) * high + 4, str(layer), "end")
            for i, layer in enumerate(self.layers)
            if i % every == 0
        ]
        turned = f'transform="rotate(-90 13 {_TOP + height / 2:.0f})"'
        parts.append(text(13, _TOP + height / 2, "layer", more=turned))
        parts.append(text(LEFT, _TOP + height + 14, "0", "start"))
        return [*parts, text(WIDTH - RIGHT, _TOP + height + 14, str(self.columns - 1), "end")]


def scaled(
    values: NDArray[np.float64], column: str, everybody: "pd.Series[Any]"
) -> tuple[NDArray[np.float64], float, float]:
    """Values [n] from 0 to 1, and what both ends mean: gates as they are, money by its logarithm."""
    if column == "quantity":
        return values, 0.0, 1.0
    most = float(np.nanmax(np.where(np.isfinite(everybody), everybody, np.nan), initial=0.0))
    if most <= 0:
        return np.zeros_like(values), 0.0, 0.0
    least = most * 10.0**-DECADES
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.log10(np.where(values > least, values, least) / least) / DECADES
    return np.clip(found, 0, 1), least, most


def colours(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours [..., 4] of values from 0 to 1; NaN is transparent."""
    found: NDArray[np.uint8] = mpl.colormaps[_MAP](np.where(np.isnan(values), 0.0, values), bytes=True)
    found[np.isnan(values)] = 0
    return found


def _png(grid: NDArray[np.float64], gone: NDArray[np.float64]) -> str:
    painted = colours(grid)
    painted[np.isnan(grid) & (gone > 0)] = GONE
    buffer = io.BytesIO()
    imsave(buffer, painted, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def _scale(y: float, name: str, low: float, high: float, log: bool) -> str:
    """The bar of colours, and what its ends mean."""
    width, shades = 120.0, 16
    bar = "".join(
        f'<rect x="{LEFT + i * width / shades:.1f}" y="{y:g}" width="{width / shades + 0.5:.1f}" height="10" '
        f'fill="rgb({r},{g},{b})"/>'
        for i, (r, g, b, _) in enumerate(colours(np.linspace(0, 1, shades)).tolist())
    )
    ends = f"{'≤ ' if log else ''}{number(low)} to {number(high)}{', logarithmic' if log else ''}; pink: bids nothing"
    return bar + text(LEFT + width + 8, y + 9, f"{name}: {ends}", "start", 10)
