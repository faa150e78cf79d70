"""Parts of heads closed on the real network, in which the output projections are then repaired."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from walras.experiments.benchmarks.attention_units.designs import Mask, Parts, Sizes
from walras.models.architectures import layers_of
from walras.models.export.copying import shared_copy
from walras.models.objective import Batch
from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.repair import ModelPair
from walras.models.units.gates import gated
from walras.models.units.inventory import Inventory, inventory, projections
from walras.models.units.site import Site


def feature_inventory(model: nn.Module) -> Inventory:
    """Every input feature of every output projection as a unit of its own, attention's as well."""
    sites, start = list[Site](), 0
    for site in inventory(model, block=1).sites:
        sites.append(replace(site, block=1, units=slice(start, start + site.width)))
        start += site.width
    widths = [site.width for site in sites]
    return Inventory(
        np.repeat([site.kind.name for site in sites], widths), np.repeat([site.layer for site in sites], widths),
        np.concatenate([np.arange(width) for width in widths]), np.ones(start, np.int64), tuple(sites),
    )  # fmt: skip


def kept_features(units: Inventory, sizes: Sizes, keep: Parts) -> Mask:
    """Which input features [n] of output projections stay: of a dimension those in all heads of its group."""
    parts = []
    for site in units.sites:
        if site.sublayer == "heads":
            by_head = np.repeat(keep.dimensions[site.layer], sizes.shared, axis=0)  # [heads, size]
            parts.append(by_head.reshape(-1))
        else:
            parts.append(keep.neurons[site.layer])
    found: Mask = np.concatenate(parts)
    return found


@torch.no_grad()
def without_pairs(model: nn.Module, sizes: Sizes, pairs: Mask) -> nn.Module:
    """A copy whose keys are 0 in the rotary pairs that leave, so that these add nothing to any score.

    It owns its keys' maps and output projections, and shares the rest with the model.
    """
    maps = [layer.at(f"{layer.row.attention}.k_proj") for layer in layers_of(model)]
    own = [p for module in (*maps, *projections(model, feature_inventory(model))) for p in module.parameters()]
    found = shared_copy(model, own=own)
    for layer, mask in zip(layers_of(found), pairs, strict=True):
        rows = torch.tensor(np.concatenate([mask, mask], axis=-1).reshape(-1))  # feature i goes with i + size / 2
        for p in layer.at(f"{layer.row.attention}.k_proj").parameters():
            p[~rows] = 0.0
    return found


@contextmanager
def masked(model: nn.Module, sizes: Sizes, keep: Parts, batches: Sequence[Batch] = ()) -> Iterator[nn.Module]:
    """Within the context, a copy of a network that does what it would if it were sliced to the parts that stay.

    Where there are batches, output projections are re-fitted to the dense network's residual stream on them
    (`LeastSquares`).
    """
    units = feature_inventory(model)
    kept, now = kept_features(units, sizes, keep), without_pairs(model, sizes, keep.pairs)
    if batches:
        with ModelPair.from_models(now, model, units, batches) as pair:
            LeastSquares()(pair, kept)
    with gated(now, units, _gates(kept)):
        yield now


def _gates(kept: Mask) -> Tensor:
    return torch.tensor(kept, dtype=torch.get_default_dtype())
