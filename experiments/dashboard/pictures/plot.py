"""A picture with two axes as SVG: drawn in a millisecond, and in the colours of whatever page it is put into.

Texts and axes are drawn in `currentColor`, curves in the page's own colours `--first`, `--second`, `--third`, so that
a page that turns dark needs no new picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, final

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from walras.escaping import one_line

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 40, 44
LONGEST = 70  # characters of a text in a picture
_TICKS, _DECADES, _LARGEST = 5, 6, 305


@final
@dataclass(frozen=True)
class Axis:
    """One axis: its label, its ends, and whether it is logarithmic or of whole numbers."""

    label: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @staticmethod
    def over(label: str, values: ArrayLike, *, log: bool = False, whole: bool = False, zero: bool = False) -> "Axis":
        """An axis that holds all finite values, of a logarithmic one those above 0; with `zero` it begins there."""
        found = np.asarray(values, dtype=np.float64)
        found = found[np.isfinite(found) & ((found > 0) | (not log))]
        low, high = (float(found.min()), float(found.max())) if len(found) else (1.0, 1.0)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        if log:
            room = 0.05 * max(math.log10(high) - math.log10(low), 0.1)
            ends = (max(math.log10(low) - room, -_LARGEST), min(math.log10(high) + room, _LARGEST))
            return Axis(label, 10.0 ** ends[0], 10.0 ** ends[1], True, whole)
        room = 0.05 * (high - low) or max(abs(high), 1.0) * 0.5
        return Axis(label, low if zero and low == 0 else low - room, high + room, False, whole)

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where values lie: 0 at the low end, 1 at the high one; NaN where a logarithmic axis has no place."""
        found = np.asarray(values, dtype=np.float64)
        low, high = self.low, self.high
        if self.log:
            found = np.log10(np.where(found > 0, found, np.nan))
            low, high = math.log10(low), math.log10(high)
        placed: NDArray[np.float64] = (found - low) / (high - low)
        return placed

    @property
    def ticks(self) -> list[float]:
        """Values that are written at the axis."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, -(-(last - first + 1) // _DECADES))
            powers = [10.0**power for power in range(first, last + 1, every)]
            return powers if len(powers) > 1 else [self.low**0.9 * self.high**0.1, self.low**0.1 * self.high**0.9]
        found = MaxNLocator(nbins=_TICKS, integer=self.whole, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        room = 1e-9 * (self.high - self.low)
        return [float(tick) for tick in found if self.low - room <= tick <= self.high + room]


@final
class Plot:
    """Collects curves and points, and returns the picture.

    Args:
        title: above the picture.
        x, y: the axes.
    """

    def __init__(self, title: str, x: Axis, y: Axis) -> None:
        self.title, self.x, self.y = title, x, y
        self._parts: list[str] = []
        self._legend: list[tuple[str, str, bool]] = []

    def line(self, xs: ArrayLike, ys: ArrayLike, colour: str, name: str = "", *, dashed: bool = False) -> "Plot":
        """A curve through points; it is broken where one has no place."""
        found, moved = [], True
        for px, py in zip(self._across(xs), self._down(ys), strict=True):
            if not (math.isfinite(px) and math.isfinite(py)):
                moved = True
                continue
            found.append(f"{'M' if moved else 'L'}{px:.1f} {py:.1f}")
            moved = False
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self._parts.append(f'<path d="{"".join(found)}" fill="none" style="stroke:{colour}" stroke-width="2"{dash}/>')
        if 0 < len(found) <= 40:
            self.dots(xs, ys, colour, size=5)
        if name:
            self._legend.append((name, colour, dashed))
        return self

    def dots(self, xs: ArrayLike, ys: ArrayLike, colour: str, name: str = "", size: float = 4) -> "Plot":
        """Points; those that fall on one place of the picture are drawn once."""
        places = np.stack([self._across(xs), self._down(ys)], -1)
        places = np.unique(places[np.isfinite(places).all(-1)].round(), axis=0).astype(int)
        path = "".join(f"M{px} {py}h0" for px, py in places.tolist())
        self._parts.append(
            f'<path d="{path}" fill="none" style="stroke:{colour}" stroke-width="{size:g}" stroke-linecap="round"/>'
        )
        if name:
            self._legend.append((name, colour, False))
        return self

    def svg(self) -> str:
        """The picture."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = [opening(self.title, WIDTH, HEIGHT), text(LEFT, 15, self.title, "start", 13, bold=True)]
        for tick, place in zip(self.x.ticks, self._across(self.x.ticks), strict=True):
            parts.append(grid(place, TOP, place, bottom) + text(place, bottom + 16, number(tick)))
        for tick, place in zip(self.y.ticks, self._down(self.y.ticks), strict=True):
            parts.append(grid(LEFT, place, right, place) + text(LEFT - 6, place + 4, number(tick), "end"))
        parts.append(text((LEFT + right) / 2, HEIGHT - 8, self.x.label))
        turned = f'transform="rotate(-90 13 {(TOP + bottom) / 2:.0f})"'
        parts.append(text(13, (TOP + bottom) / 2, self.y.label, more=turned))
        parts += self._parts
        parts.append(_legend(self._legend))
        return "".join([*parts, "</svg>"])

    def _across(self, xs: ArrayLike) -> NDArray[np.float64]:
        return LEFT + self.x.place(xs) * (WIDTH - LEFT - RIGHT)

    def _down(self, ys: ArrayLike) -> NDArray[np.float64]:
        return TOP + (1 - self.y.place(ys)) * (HEIGHT - TOP - BOTTOM)


def opening(title: str, width: float, height: float) -> str:
    """The first tag of a picture, with what a reader who sees no pictures is told."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{label(title)}" font-family="sans-serif">'
    )


def text(
    x: float, y: float, words: str, anchor: str = "middle", size: int = 11, *, bold: bool = False, more: str = ""
) -> str:
    """A text in the page's own colour."""
    weight = ' font-weight="600"' if bold else ""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {where} fill="currentColor"{weight} {more}>{label(words)}</text>'


def grid(x0: float, y0: float, x1: float, y1: float) -> str:
    """A faint line."""
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="currentColor" stroke-opacity="0.15" fill="none"/>'


def label(words: str) -> str:
    """A text of any origin, made harmless within SVG and HTML, and cut to what there is room for."""
    return escape(one_line(str(words), LONGEST))


def number(value: float) -> str:
    """A number as a tick or a table shows it."""
    return f"{value:.3g}" if math.isfinite(value) else ("–" if math.isnan(value) else str(value))


def _legend(entries: Sequence[tuple[str, str, bool]]) -> str:
    """Names of curves in one line below the title."""
    parts: list[Any] = []
    x: float = LEFT
    for name, colour, dashed in entries:
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        parts.append(f'<path d="M{x:.0f} 27h16" style="stroke:{colour}" stroke-width="3" fill="none"{dash}/>')
        parts.append(text(x + 20, 31, name, "start"))
        x += 30 + 6.1 * len(name)
    return "".join(parts)
