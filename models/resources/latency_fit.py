"""Kwon's model of a sub-layer's latency, fitted to measured times."""

import numpy as np

from walras.errors import InputError
from walras.mechanisms.solvers.kwon_latency import StepFit, fit_steps
from walras.models.resources.latency import Latency
from walras.models.units.inventory import Kind


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
