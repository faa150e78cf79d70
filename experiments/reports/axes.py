"""Ranges of axes that make a difference look as large as it is, and legends that hide nothing.

The rule: what has a zero starts at zero (prices, shares, losses). A task's metric may start elsewhere, but its axis
spans at least a fifth of the dense model's figure, whatever the data span, and holds that figure; an axis of
differences spans at least a twentieth of it to both sides of zero. So noise stays small in every picture.
"""

from collections.abc import Iterable
from typing import Any, final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter

from walras.experiments.reports.numbers import short

LEAST_SPAN = 0.2
"""Of a metric's axis, as a share of the dense model's figure."""
LEAST_DIFFERENCE = 0.05
"""Of an axis of differences, to either side of zero, as a share of the same."""
_MARGIN = 0.08  # of the span, beyond the outermost points


def metric_limits(values: Iterable[float], dense: float) -> tuple[float, float]:
    """Ends of an axis for figures of a metric; below zero only where a figure is."""
    held = _finite([*values, dense])
    low, high = (float(held.min()), float(held.max())) if len(held) else (0.0, 1.0)
    least = LEAST_SPAN * (abs(dense) if np.isfinite(dense) and dense else max(abs(low), abs(high), 1e-9))
    span = max((high - low) * (1 + 2 * _MARGIN), least)
    bottom = (low + high - span) / 2
    if low >= 0 > bottom:
        bottom = 0.0
    return bottom, bottom + span


def difference_limits(values: Iterable[float], dense: float) -> tuple[float, float]:
    """Ends of an axis for differences of figures of a metric, with zero inside."""
    held = _finite([*values, 0.0])
    least = LEAST_DIFFERENCE * abs(dense) if np.isfinite(dense) and dense else 0.0
    low, high = min(float(held.min()), -least), max(float(held.max()), least)
    margin = _MARGIN * ((high - low) or 1e-9)
    return low - margin, high + margin


def from_zero(axes: Any, values: Iterable[float]) -> None:
    """Start an axis at zero, or end it there."""
    held = _finite([*values, 0.0])
    low, high = float(held.min()), float(held.max())
    if low == high:
        high = 1.0
    margin = _MARGIN * (high - low)
    axes.set_ylim(low - margin if low < 0 else 0.0, high + margin if high > 0 else 0.0)


def plain_ticks(*axes: Any) -> None:
    """Write numbers at ticks as everywhere else, without powers of ten set apart at an axis' end.

    Of logarithmic axes, those ticks are told that there is room for.
    """
    for axis in axes:
        logarithmic = axis.get_scale() == "log"
        axis.set_major_formatter(_LogTicks() if logarithmic else FuncFormatter(lambda value, _: short(value, 4)))
        if logarithmic:
            axis.set_minor_formatter(_LogTicks())


@final
class _LogTicks(LogFormatter):
    """Ticks of a logarithmic axis; by itself it writes powers of ten as formulas."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The tick's number, or nothing where it has no room."""
        return short(x) if super().__call__(x, pos) else ""


def legend_outside(figure: Figure, axes: Any, columns: int = 3) -> None:
    """Tell the lines of some axes above all of them, where no data are."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), columns), frameon=False)


def _finite(values: Iterable[float]) -> Any:
    found = np.asarray([value for value in values if value is not None], dtype=float)
    return found[np.isfinite(found)]
