"""Interactions of the units of a network on a task, as a graph."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import torch

from walras.agents import Calibration, pairwise
from walras.errors import InputError
from walras.experiments.progress import Progress
from walras.experiments.spec import RunSpec
from walras.experiments.subjects.subject import Subject
from walras.market.graph import interaction_graph
from walras.models import inventory, macs


def strongest_interactions(
    spec: RunSpec, layers: Sequence[int] | None, strongest: int, progress: Progress
) -> tuple[nx.Graph, str]:
    """The strongest ties between units, in some layers or all, and the unit of measure in which they are counted.

    Args:
        spec: network, task, kinds of units (heads by default) and sentences; the rest of the market does not count.
        layers: to look at; None: all.
        strongest: ties, at most.
        progress: is told how much there is to do.

    Raises:
        InputError, UnknownNameError: wrong settings, a layer that there is not, fewer than two units.
    """
    market = spec.market
    subject = Subject.load(spec.subject, progress, measured=False)
    units = inventory(subject.model, market.units or ("head",), market.block)
    known = sorted(set(units.layer.tolist()))
    odd = [layer for layer in layers or () if layer not in known]
    if odd:
        raise InputError(f"layer {odd[0]} is not there; the network has layers {known[0]} to {known[-1]}")
    chosen = np.flatnonzero(np.isin(units.layer, known if layers is None else list(layers))).tolist()
    if len(chosen) < 2:
        kinds = " and ".join(units.kinds)
        raise InputError(f"{len(chosen)} units of kind {kinds} are chosen; ties need at least two")
    progress.add_task(f"{len(chosen) * (len(chosen) + 1) // 2} coalitions of {len(chosen)} units", total=None)
    objective = subject.data.objective(subject.model, market.label_free)
    batches, cost = subject.data.batches(market.sentences, spec.seed), macs(subject.model, units, subject.length).share
    calibration = Calibration(subject.model, units, objective, batches, cost)
    gates = torch.ones(len(units), device=next(subject.model.parameters()).device)
    matrix = pairwise(calibration, gates, chosen).numpy()
    unit = objective.unit if objective.trains else "nats"
    return interaction_graph(units, matrix, chosen, strongest), unit
