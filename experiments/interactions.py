"""Interactions of the units of a network on a task, as a graph."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import torch

from walras.agents import Calibration, pairwise
from walras.errors import InputError, UnknownNameError
from walras.experiments.config import RunConfig
from walras.experiments.floor import Floor
from walras.experiments.run import Progress, find_task
from walras.market.graph import interaction_graph
from walras.models.loading import load


def strongest_interactions(
    config: RunConfig, kind: str, layers: Sequence[int] | None, strongest: int, progress: Progress
) -> tuple[nx.Graph, str]:
    """The strongest ties between units of a kind, in some layers or all, and the unit that they are counted in.

    Raises:
        InputError, UnknownNameError: wrong settings, a layer that there is not, fewer than two units.
    """
    if kind not in ("head", "ffn"):
        raise UnknownNameError("kind of unit", kind, ("head", "ffn"))
    task = find_task(config.task, config.data)
    model, tokenizer = load(config.model, task.head, device=config.device, trust_remote_code=config.trust_remote_code)
    floor = Floor.of(model, config.block, config.length)
    known = sorted(set(floor.units.layer.tolist()))
    odd = [layer for layer in layers or () if layer not in known]
    if odd:
        raise InputError(f"layer {odd[0]} is not there; the network has layers 0 to {known[-1]}")
    chosen = (floor.units.kind == kind) & np.isin(floor.units.layer, known if layers is None else list(layers))
    units = np.flatnonzero(chosen).tolist()
    if len(units) < 2:
        raise InputError(f"{len(units)} units of kind {kind} are chosen; ties need at least two")
    batches = task.calibration(
        tokenizer, sentences=config.sentences, seed=config.seed, batch_size=config.batch_size, length=config.length
    )
    progress.add_task(f"{len(units) * (len(units) + 1) // 2} coalitions of {len(units)} units", total=None)
    objective = task.objective(model, config.label_free)
    calibration = Calibration(model, floor.units, objective, batches, floor.macs.share)
    gates = torch.ones(len(floor.units), device=next(model.parameters()).device)
    matrix = pairwise(calibration, gates, units).numpy()
    unit = objective.unit if objective.trains else "nats"
    return interaction_graph(floor.units, matrix, units, strongest), unit
