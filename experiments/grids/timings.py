"""How long small models take on this machine. Measured after the grid, one at a time: workers would disturb it."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from walras.experiments.grids.cell import Cell
from walras.experiments.plan import Plan
from walras.experiments.progress import Progress
from walras.experiments.spec import RunSpec, SubjectSpec
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.run_folder import read_allocation
from walras.experiments.subjects.subject import find_task
from walras.models import compact, inventory
from walras.models.loading import load
from walras.models.resources.latency_setting import sample_batch
from walras.models.resources.timing import interleaved

REPEATS = 20


def measure(cells: Sequence[Cell[RunSpec]], folder: GridFolder, progress: Progress) -> None:
    """Time what was not timed before: a forward pass through the small model, in turn with the dense.

    The shortest of 20 passes each. Weights do not matter for time, so the dense model is cut as the cell's allocation
    says. Written beside the cells: dense_ms tells how loaded the machine was, and a repeated grid reads the figures.
    """
    waiting = [cell for cell in cells if folder.timing(cell) is None]
    bar = progress.add_task("Timing", total=len(waiting))
    network: tuple[SubjectSpec, nn.Module] | None = None
    for cell in waiting:
        spec, market = cell.settings.subject, cell.settings.market
        if network is None or network[0] != spec:
            network = (spec, _dense(spec))
        dense = network[1]
        units = inventory(dense, Plan.from_spec(cell.settings).kinds, market.block)
        small = compact(dense, units, read_allocation(folder.place(cell))["gate"] > 0, share=True)
        length = int((folder.result(cell) or {}).get("length", spec.length))  # pictures say how many tokens they make
        batch = sample_batch(dense, market.latency_batch, length)
        whole, small_s = interleaved([partial(dense, **batch), partial(small, **batch)], REPEATS)
        device = next(dense.parameters()).device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        timing = {
            "latency_ms": 1e3 * small_s, "dense_ms": 1e3 * whole, "batch": market.latency_batch,
            "length": length, "device": name, "threads": torch.get_num_threads(),
        }  # fmt: skip
        folder.write_timing(cell, timing)
        progress.update(bar, advance=1, description=f"{cell}: {1e3 * small_s:.1f} ms, dense {1e3 * whole:.1f} ms")


def _dense(spec: SubjectSpec) -> nn.Module:
    head = find_task(spec).head
    return load(spec.model, head, device=spec.device, dtype=spec.dtype, trust_remote_code=spec.trust_remote_code).model
