"""Curves of times: made to rise, and scaled to what the whole model takes."""

from collections.abc import Mapping, Sequence

import numpy as np

from walras.errors import InputError
from walras.models.resources.latency_table import Curve
from walras.models.resources.resource import Column

WHOLE_SHARES = (0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
"""Shares of its units at which the whole model is timed."""


def anchored(
    curves: Mapping[str, Curve], shapes: Sequence[str], sizes: Sequence[Sequence[int]], whole_ms: Sequence[float]
) -> dict[str, Curve]:
    """The curves of sub-layers of `shapes`, scaled so that they add up to times of the whole model.

    `whole_ms` are its times at `WHOLE_SHARES` of its units, none first, and `sizes` the features that each
    sub-layer keeps there.

    Raises:
        InputError: the model is not slower with all its units than without any, or the curves are all 0.
    """
    parts = np.array([sum(float(curves[s].at(np.array(k))) for s, k in zip(shapes, row, strict=True)) for row in sizes])
    rest = np.maximum(np.array(whole_ms) - whole_ms[0], 0.0)
    if not (rest[-1] > 0 and parts[-1] > 0):
        raise InputError(
            f"latency cannot be measured here: all units take {whole_ms[-1]:.3f} ms, none {whole_ms[0]:.3f} ms; "
            "the machine is too busy, or the batch too small"
        )
    scales = np.divide(rest, parts, out=np.full(len(parts), rest[-1] / parts[-1]), where=parts > 0)
    scales[0] = scales[1]
    found: dict[str, Curve] = {}
    for shape, curve in curves.items():
        scale = np.interp(np.array(curve.features) / curve.features[-1], WHOLE_SHARES, scales)
        found[shape] = Curve(curve.features, tuple(isotonic(np.array(curve.ms) * scale).tolist()))
    return found


def isotonic(values: Column) -> Column:
    """Nearest rising sequence to values `[n]` of which the first is 0 and stays so (pool adjacent violators)."""
    pools: list[list[float]] = []  # mean and length
    for value in np.maximum(values, 0.0).tolist():
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, count = pools.pop()
            before, many = pools.pop()
            pools.append([(before * many + mean * count) / (many + count), many + count])
    return np.concatenate([np.full(int(count), mean) for mean, count in pools])
