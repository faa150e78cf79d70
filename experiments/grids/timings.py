"""How long small models take on this machine. Measured after the sweep, one at a time: workers would disturb it."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from walras.experiments.config import RunConfig
from walras.experiments.grids.cell import Cell
from walras.experiments.run import Progress, find_task
from walras.experiments.store.grid_folder import SweepFolder
from walras.experiments.store.run_folder import read_allocation
from walras.models import compact, inventory
from walras.models.loading import load
from walras.models.resources.timing import interleaved

REPEATS = 20


def measure(cells: Sequence[Cell[RunConfig]], folder: SweepFolder, progress: Progress) -> None:
    """Time what was not timed before: a forward pass through the small model, in turn with the dense.

    The shortest of 20 passes each. Weights do not matter for time, so the dense model is cut as the cell's allocation
    says. Written beside the cells: dense_ms tells how loaded the machine was, and a repeated sweep reads the figures.
    """
    waiting = [cell for cell in cells if folder.timing(cell) is None]
    bar = progress.add_task("Timing", total=len(waiting))
    network: tuple[tuple[object, ...], nn.Module] | None = None
    for cell in waiting:
        config = cell.config
        key = (config.model, config.task, config.data, config.device, config.trust_remote_code)
        if network is None or network[0] != key:
            network = (key, _dense(config))
        dense = network[1]
        small = compact(dense, inventory(dense, config.block), read_allocation(folder.place(cell))["gate"] > 0)
        batch = _batch(dense, config)
        whole, small_s = interleaved([partial(dense, **batch), partial(small, **batch)], REPEATS)
        device = next(dense.parameters()).device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        timing = {
            "latency_ms": 1e3 * small_s, "dense_ms": 1e3 * whole, "batch": config.latency_batch,
            "length": config.length, "device": name, "threads": torch.get_num_threads(),
        }  # fmt: skip
        folder.write_timing(cell, timing)
        progress.update(bar, advance=1, description=f"{cell}: {1e3 * small_s:.1f} ms, dense {1e3 * whole:.1f} ms")


def _dense(config: RunConfig) -> nn.Module:
    head = find_task(config.task, config.data).head
    return load(config.model, head, device=config.device, trust_remote_code=config.trust_remote_code).model


def _batch(model: nn.Module, config: RunConfig) -> dict[str, torch.Tensor]:
    """Random tokens, `latency_batch` sequences of full length."""
    shape = (config.latency_batch, config.length)
    words = int(model.get_input_embeddings().num_embeddings)  # type: ignore[operator]  # transformers' method
    tokens = torch.randint(words, shape, generator=torch.Generator().manual_seed(0))
    device = next(model.parameters()).device
    return {"input_ids": tokens.to(device), "attention_mask": torch.ones(shape, dtype=torch.long, device=device)}
