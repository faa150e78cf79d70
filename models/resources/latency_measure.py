"""Measuring how long sub-layers take by how much of them is kept."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.models.architectures import layer_paths, submodule
from walras.models.export.slicing import compact
from walras.models.resources.latency_curves import WHOLE_SHARES, anchored, isotonic
from walras.models.resources.latency_setting import network_hash, sample_batch, setting_of, shape_of
from walras.models.resources.latency_table import Curve, LatencyTable, Setting
from walras.models.resources.resource import Tell, Workload, log
from walras.models.resources.timing import interleaved
from walras.models.units.inventory import Inventory, inventory, sites_and_layers
from walras.models.units.site import Site

_SECONDS = 120.0  # for the whole table, unless the fewest repeats take longer
_FEWEST, _MOST = 12, 60


def measure(model: nn.Module, workload: Workload, tell: Tell = log.info) -> LatencyTable:
    """Time a table for a model on its own device: sliced copies, in turn, the shortest of several passes each.

    1. Cut the model down to its first layers, until each shape of sub-layer is there twice where the model has it
       twice. From there, slice a copy for each grid point of each shape, with all other sub-layers gone; its time
       less that of the cut without any unit is what the sub-layers of the shape take.
    2. Time the whole model with an eighth, a quarter, half, three quarters and all of its units, and without any. What
       stays without any (embeddings, norms, residuals, biases, heads of the model) is a constant. At each of these
       shares the curves are scaled so that they add up to what the whole model takes, in between by a scale in
       between: the weights of a few layers stay in a processor's cache where those of all do not.
    3. Make every curve rise (isotonic regression): more units never take less time. Steps stay steps.
    """
    setting = setting_of(model, workload)
    training = model.training
    model.eval()
    try:
        return _measure(model, setting, tell)
    finally:
        model.train(training)


def _measure(model: nn.Module, setting: Setting, tell: Tell) -> LatencyTable:
    whole = inventory(model, block=1)
    shapes = [shape_of(model, layer, site) for site, layer in sites_and_layers(model, whole)]
    small = _first_layers(model, _depth(whole, shapes))
    units = inventory(small, block=1)
    present = shapes[: len(units.sites)]
    nothing = np.zeros(len(units), dtype=bool)
    points: list[tuple[str, int]] = []
    networks = [compact(model, whole, _share(whole, share), share=True) for share in WHOLE_SHARES[:-1]]
    networks += [model, compact(small, units, nothing, share=True)]
    for shape in dict.fromkeys(present):
        sites = [site for site, found in zip(units.sites, present, strict=True) if found == shape]
        for kept in sites[0].kind.timed_counts(sites[0]):
            keep = nothing.copy()
            for site in sites:
                keep[site.units.start : site.units.start + kept] = True
            networks.append(compact(small, units, keep, share=True))
            points.append((shape, kept * sites[0].block))
    given = sample_batch(model, setting.batch, setting.length)
    passes = [partial(network, **given) for network in networks]
    tell(f"Timing {len(points)} sub-layers on {setting}")
    first = sum(interleaved(passes, 1))
    repeats = int(np.clip(_SECONDS / max(2 * first, 1e-9), _FEWEST, _MOST))
    found = [1e3 * seconds for seconds in interleaved(passes, repeats)]
    anchors, (cut, *times) = found[: len(WHOLE_SHARES)], found[len(WHOLE_SHARES) :]
    raw: dict[str, Curve] = {}
    for shape in dict.fromkeys(present):
        own = [(features, time) for (of, features), time in zip(points, times, strict=True) if of == shape]
        rising = isotonic(np.array([0.0, *((time - cut) / present.count(shape) for _, time in own)]))
        raw[shape] = Curve((0, *(features for features, _ in own)), tuple(rising.tolist()))
    sizes = [[_kept(site, share) * site.block for site in whole.sites] for share in WHOLE_SHARES]
    curves = anchored(raw, shapes, sizes, anchors)
    return LatencyTable(setting, network_hash(model), anchors[-1], anchors[0], curves)


def _kept(site: Site, share: float) -> int:
    """Units of a sub-layer (from an inventory with blocks of 1) that make a share of it."""
    return round(share * len(site))


def _share(units: Inventory, share: float) -> NDArray[np.bool_]:
    """Units `[n]` to keep so that every sub-layer keeps a share of its own."""
    keep = np.zeros(len(units), dtype=bool)
    for site in units.sites:
        keep[site.units.start : site.units.start + _kept(site, share)] = True
    return keep


def _depth(units: Inventory, shapes: Sequence[str]) -> int:
    """Layers from the bottom up in which every shape is there twice, or as often as it is."""
    missing = {shape: min(2, shapes.count(shape)) for shape in shapes}
    depth = 0
    for site, shape in zip(units.sites, shapes, strict=True):
        if missing[shape] > 0:
            missing[shape] -= 1
            depth = site.layer + 1
    return depth


def _first_layers(model: nn.Module, depth: int) -> nn.Module:
    """A copy of a model with its first layers only; what is not copied is shared."""
    paths = layer_paths(model)
    memo: dict[int, Any] = {id(submodule(model, path)): nn.Identity() for path in paths[depth:]}
    memo |= {id(p): p for p in model.parameters()}
    small = copy.deepcopy(model, memo)
    layers: Any = submodule(small, paths[0].rpartition(".")[0])
    del layers[depth:]
    return small
