"""What a measured time depends on: the machine, the size of a pass, and the shapes of a network."""

import hashlib
import json
import math
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from walras.models.architectures import Layer
from walras.models.resources.latency_table import Setting
from walras.models.resources.resource import Workload
from walras.models.units.site import Site


def setting_of(model: nn.Module, workload: Workload) -> Setting:
    """Device, type and size of the passes of a model that are timed."""
    weight = next(model.parameters())
    gpu = weight.device.type == "cuda"
    name = torch.cuda.get_device_name(weight.device) if gpu else _processor()
    threads = 1 if gpu else torch.get_num_threads()
    return Setting(
        name, str(weight.dtype).removeprefix("torch."), workload.batch, workload.length, threads, torch.__version__
    )


def _processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def shape_of(model: nn.Module, layer: Layer, site: Site) -> str:
    """What sub-layers that take the same time have in common: sizes of all their maps, and the kind of attention."""
    kinds = getattr(getattr(model, "config", None), "layer_types", None)
    kind = f" {kinds[site.layer]}" if site.sublayer == "heads" and kinds else ""
    name, _, sizes = site.kind.shape(layer, site).partition(" ")
    return f"{name}{kind} {sizes}"


def network_hash(model: nn.Module) -> str:
    """Hash of everything about a network, save its weights, on which its times depend."""
    config = getattr(model, "config", None)
    shapes = {name: [*p.shape] for name, p in model.named_parameters()}
    attention = getattr(config, "_attn_implementation", "")
    content = json.dumps([type(model).__name__, attention, getattr(config, "layer_types", None), shapes])
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def sample_batch(model: nn.Module, batch: int, length: int) -> dict[str, Tensor]:
    """A full batch for a model: random tokens without padding, or noise in the place of pictures or sound.

    Sound is as long as the model takes it, with one token for the decoder; pictures see `_side`.
    """
    weight, generator = next(model.parameters()), torch.Generator().manual_seed(0)
    config: Any = getattr(model, "config", None)
    if getattr(config, "patch_size", None) is not None:
        size = _side(model, config, length)
        pixels = torch.randn(batch, config.num_channels, *size, generator=generator)
        return {"pixel_values": pixels.to(weight.device, weight.dtype)}
    if getattr(config, "num_mel_bins", None) is not None:
        sound = torch.randn(batch, config.num_mel_bins, 2 * config.max_source_positions, generator=generator)
        first = torch.full((batch, 1), int(config.decoder_start_token_id), device=weight.device)
        return {"input_features": sound.to(weight.device, weight.dtype), "decoder_input_ids": first}
    words = next(m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding))
    tokens = torch.randint(words, (batch, length), generator=generator).to(weight.device)
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def _side(model: nn.Module, config: Any, length: int) -> list[int]:
    """Height and width of pictures that make `length` tokens where a square does, else those of the configuration."""
    own = ("cls_token", "distillation_token", "register_tokens")
    added = sum(p.shape[1] for name, p in model.named_parameters() if name.rpartition(".")[2] in own)
    patch = config.patch_size if isinstance(config.patch_size, int) else config.patch_size[0]
    side = math.isqrt(max(length - added, 0))
    if side and side * side + added == length:
        return [side * patch] * 2
    size = config.image_size
    return list(size) if isinstance(size, (tuple, list)) else [size] * 2
