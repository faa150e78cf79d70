"""Measuring how long sub-layers take by how much of them is kept."""

import copy
import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import architecture, layer_paths, submodule
from walras.models.export.slicing import compact
from walras.models.resources.latency_table import Curve, LatencyTable, Setting
from walras.models.resources.resource import Column
from walras.models.resources.timing import interleaved
from walras.models.units.inventory import Inventory, Site, inventory

_FFN_SHARES = (1 / 48, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1)
_WHOLE_SHARES = (0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
_MOST_HEADS = 16  # up to so many units every count is measured
_SECONDS = 120.0  # for the whole table, unless the fewest repeats take longer
_FEWEST, _MOST = 12, 60


def setting_of(model: nn.Module, batch: int, length: int) -> Setting:
    """Device, type and size of the passes of a model that are timed.

    Raises:
        InputError: `batch` or `length` below 1.
    """
    for name, value in (("batch", batch), ("length", length)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"latency {name} = {value!r}; valid: a whole number, 1 or more")
    weight = next(model.parameters())
    gpu = weight.device.type == "cuda"
    name = torch.cuda.get_device_name(weight.device) if gpu else _processor()
    threads = 1 if gpu else torch.get_num_threads()
    return Setting(name, str(weight.dtype).removeprefix("torch."), batch, length, threads, torch.__version__)


def _processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def shape_of(model: nn.Module, site: Site) -> str:
    """What sub-layers that take the same time have in common: sizes of all their maps, and the kind of attention."""
    row, below = architecture(model), layer_paths(model)[site.layer]
    sublayer = row.heads if site.kind == "head" else row.ffn
    paths = [*(projection.path for projection in sublayer.inputs), sublayer.output]
    sizes = ["x".join(map(str, submodule(model, f"{below}.{path}").get_parameter("weight").shape)) for path in paths]
    kinds = getattr(getattr(model, "config", None), "layer_types", None)
    kind = f" {kinds[site.layer]}" if site.kind == "head" and kinds else ""
    return f"{site.kind}{kind} {' '.join(sizes)}"


def network_hash(model: nn.Module) -> str:
    """Hash of everything about a network, save its weights, on which its times depend."""
    config = getattr(model, "config", None)
    shapes = {name: [*p.shape] for name, p in model.named_parameters()}
    attention = getattr(config, "_attn_implementation", "")
    content = json.dumps([type(model).__name__, attention, getattr(config, "layer_types", None), shapes])
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def sample_batch(model: nn.Module, batch: int, length: int) -> dict[str, Tensor]:
    """A full batch for a model: random tokens without padding, or, for models of images, noise."""
    device, generator = next(model.parameters()).device, torch.Generator().manual_seed(0)
    config: Any = getattr(model, "config", None)
    if getattr(config, "patch_size", None) is not None:
        size = config.image_size if isinstance(config.image_size, (tuple, list)) else [config.image_size] * 2
        pixels = torch.randn(batch, config.num_channels, *size, generator=generator)
        return {"pixel_values": pixels.to(device, next(model.parameters()).dtype)}
    words = next(m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding))
    tokens = torch.randint(words, (batch, length), generator=generator).to(device)
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def measure(
    model: nn.Module, batch: int, length: int, tell: Callable[[str], object] = lambda text: None
) -> LatencyTable:
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
    setting = setting_of(model, batch, length)
    training = model.training
    model.eval()
    try:
        return _measure(model, setting, tell)
    finally:
        model.train(training)


def _measure(model: nn.Module, setting: Setting, tell: Callable[[str], object]) -> LatencyTable:
    whole = inventory(model, 1)
    shapes = [shape_of(model, site) for site in whole.sites]
    small = _first_layers(model, _depth(whole, shapes))
    units = inventory(small, 1)
    present = shapes[: len(units.sites)]
    nothing = np.zeros(len(units), dtype=bool)
    points: list[tuple[str, int]] = []
    networks = [_sliced(model, whole, _share(whole, share)) for share in _WHOLE_SHARES[:-1]]
    networks += [model, _sliced(small, units, nothing)]
    for shape in dict.fromkeys(present):
        sites = [site for site, found in zip(units.sites, present, strict=True) if found == shape]
        for kept in _grid(sites[0]):
            keep = nothing.copy()
            for site in sites:
                keep[site.units.start : site.units.start + kept] = True
            networks.append(_sliced(small, units, keep))
            points.append((shape, kept * sites[0].block))
    given = sample_batch(model, setting.batch, setting.length)
    passes = [partial(network, **given) for network in networks]
    tell(f"Timing {len(points)} sub-layers on {setting}")
    first = sum(interleaved(passes, 1))
    repeats = int(np.clip(_SECONDS / max(2 * first, 1e-9), _FEWEST, _MOST))
    found = [1e3 * seconds for seconds in interleaved(passes, repeats)]
    anchors, (cut, *times) = found[: len(_WHOLE_SHARES)], found[len(_WHOLE_SHARES) :]
    raw: dict[str, Curve] = {}
    for shape in dict.fromkeys(present):
        own = [(features, time) for (of, features), time in zip(points, times, strict=True) if of == shape]
        rising = isotonic(np.array([0.0, *((time - cut) / present.count(shape) for _, time in own)]))
        raw[shape] = Curve((0, *(features for features, _ in own)), tuple(rising.tolist()))
    sizes = [[_kept(site, share) * site.block for site in whole.sites] for share in _WHOLE_SHARES]
    curves = anchored(raw, shapes, sizes, anchors)
    return LatencyTable(setting, network_hash(model), anchors[-1], anchors[0], curves)


def anchored(
    curves: Mapping[str, Curve], shapes: Sequence[str], sizes: Sequence[Sequence[int]], whole_ms: Sequence[float]
) -> dict[str, Curve]:
    """The curves of sub-layers of `shapes`, scaled so that they add up to times of the whole model.

    `whole_ms` are its times at `_WHOLE_SHARES` of its units, none first, and `sizes` the features that each
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
        scale = np.interp(np.array(curve.features) / curve.features[-1], _WHOLE_SHARES, scales)
        found[shape] = Curve(curve.features, tuple(isotonic(np.array(curve.ms) * scale).tolist()))
    return found


def _kept(site: Site, share: float) -> int:
    """Units of a sub-layer (from an inventory with blocks of 1) that make a share of it."""
    count: int = site.units.stop - site.units.start
    return round(share * count)


def _share(units: Inventory, share: float) -> NDArray[np.bool_]:
    """Units `[n]` to keep so that every sub-layer keeps a share of its own."""
    keep = np.zeros(len(units), dtype=bool)
    for site in units.sites:
        keep[site.units.start : site.units.start + _kept(site, share)] = True
    return keep


def _grid(site: Site) -> Sequence[int]:
    """Numbers of units (from an inventory with blocks of 1) at which a sub-layer is timed, the last one all."""
    count = site.units.stop - site.units.start
    if site.kind == "head":
        shares: Sequence[float] = np.linspace(0, 1, _MOST_HEADS + 1)[1:].tolist()
        return range(1, count + 1) if count <= _MOST_HEADS else sorted({1, *(round(count * s) for s in shares)})
    return sorted({max(1, round(count * share)) for share in _FFN_SHARES})


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


def _sliced(model: nn.Module, units: Inventory, keep: Any) -> nn.Module:
    """A sliced copy that shares all whole weights with the model, so that many fit into memory."""
    small = compact(model, units, keep)
    own = dict(model.named_parameters())
    for name, parameter in small.named_parameters():
        if parameter.shape == own[name].shape:
            parameter.data = own[name].data
    return small


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
