"""Kwon's model of a sub-layer's latency, fitted to measured times."""

import numpy as np

from walras.errors import InputError
from walras.mechanisms.kwon_latency import StepFit
from walras.models.inventory import Kind
from walras.models.latency import Latency
from walras.models.resources import Column


def fit_steps(times: Column) -> StepFit:
    """The nearest `StepFit` to measured `times` [n] of 1 to n units: lat(n) = c up to T units, c + a (n - T) beyond.

    For every T the least squares c and a, neither below 0; the T with the smallest squared error, the largest of
    several (Kwon et al. 2022, section 4.1).

    Raises:
        InputError: no times, or times that are not finite or below 0.
    """
    times = np.asarray(times, dtype=np.float64)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (times < 0).any():
        raise InputError(f"times are {times.tolist()}; they must be one or more finite numbers of at least 0")
    counts, found = np.arange(1, len(times) + 1), []
    for threshold in range(len(times), 0, -1):
        beyond = np.maximum(counts - threshold, 0).astype(np.float64)
        base, slope = times.mean(), 0.0
        if beyond.any():
            spread = beyond - beyond.mean()
            slope = max(0.0, float(spread @ times / (spread @ spread)))
            base = times.mean() - slope * beyond.mean()
            if base < 0:
                base, slope = 0.0, float(beyond @ times / (beyond @ beyond))
        error = float(np.square(base + slope * beyond - times).sum())
        found.append((error, StepFit(threshold, float(base), slope)))
    least = min(error for error, _ in found)
    return next(fit for error, fit in found if error <= least + 1e-12 * float(times @ times))


def fit_latency(latency: Latency, kind: Kind) -> StepFit:
    """The fit of the sub-layers of a kind; their mean where they differ in time.

    Raises:
        InputError: there are none, or they have different numbers of units.
    """
    sites = [site for site in latency.inventory.sites if site.kind == kind]
    counts = {site.units.stop - site.units.start for site in sites}
    if len(counts) != 1:
        raise InputError(f"one fit needs sub-layers of one size; of kind {kind!r} there are {sorted(counts) or 'none'}")
    return fit_steps(np.mean([np.cumsum(latency.steps[site.units]) for site in sites], axis=0))
