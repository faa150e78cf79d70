"""What the network loses with some of its units alone: many coalitions in one forward pass."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from walras.agents.calibration.calibration import Calibration
from walras.agents.calibration.derivatives import at_rest, samples_of
from walras.errors import InputError
from walras.models import gated
from walras.models.objective import Batch, Objective
from walras.models.repair.streams import inputs
from walras.models.replaced_forward import replaced_forward

ROWS = 256
"""Rows of a forward pass at most: so many coalitions go through together as fit."""


@torch.no_grad()
def coalition_losses(calibration: Calibration, gates: Tensor, rows: int = ROWS) -> Tensor:
    """Mean loss [coalitions] in float64 of the network under the gates [coalitions, n] of each.

    A batch is repeated for every coalition, each copy with gates of its own, and what comes out is cut up again before
    the objective sees it. Label-free objectives whose loss says nothing stand back for the divergence from the dense
    network (`Distillation`). Losses of the user's own, which may call the network as they like, take a pass each.

    Raises:
        InputError: a loss that is not finite.
    """
    model, total, count = calibration.model, torch.zeros(len(gates), dtype=torch.float64), 0
    with at_rest(model):
        for place, batch in enumerate(calibration.batches):
            objective = calibration.objective
            if not objective.trains:
                objective = calibration.distillation(place, batch, 2.0)
            samples = samples_of(batch, objective)
            together = max(1, rows // (samples * objective.rows)) if objective.replays else 1
            found = [
                _losses(calibration, objective, batch, part, samples)
                for part in (gates[i : i + together] for i in range(0, len(gates), together))
            ]
            total += samples * torch.cat(found)
            count += samples
    if not total.isfinite().all():
        raise InputError(f"the loss of a coalition is {total[~total.isfinite()][0].item() / count}; it must be finite")
    return total / count


def _losses(calibration: Calibration, objective: Objective, batch: Batch, gates: Tensor, samples: int) -> Tensor:
    """Losses [c] of a batch under gates [c, n]."""
    model, generator = calibration.model, torch.Generator().manual_seed(0)
    if len(gates) == 1:
        with gated(model, calibration.inventory, gates[0]):
            return objective(model, batch, generator).double().cpu().reshape(1)
    rows = samples * objective.rows
    own = gates.repeat_interleave(samples, 0)
    several = {name: tensor.repeat(len(gates), *[1] * (tensor.ndim - 1)) for name, tensor in batch.items()}
    with gated(model, calibration.inventory, own, objective.rows):
        outputs = model(**inputs(model, several))
    found = []
    for i in range(len(gates)):
        with replaced_forward(model, partial(_answer, _cut(outputs, slice(i * rows, (i + 1) * rows)))):
            found.append(objective(model, batch, generator).double().cpu())
    return torch.stack(found)


def _cut(outputs: Mapping[str, Any], rows: slice) -> Any:
    """The same kind of outputs, of some rows."""
    kept = {k: v[rows] for k, v in outputs.items() if isinstance(v, Tensor) and v.ndim > 0}
    return type(outputs)(**kept)


def _answer(outputs: Any, *_: Any, **__: Any) -> Any:
    """The same outputs, whatever a model is called with."""
    return outputs
