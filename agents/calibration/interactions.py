"""What two units are worth together, beyond what each is worth alone: complements and substitutes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from walras.agents.calibration.calibration import Calibration
from walras.agents.calibration.coalitions import coalition_losses
from walras.errors import InputError


def pairwise(calibration: Calibration, gates: Tensor, units: Sequence[int] | None = None) -> Tensor:
    """Interaction [k, k] in float64 of every two of the `units` (all that are there), in the network as it is.

    interaction_ij = rise_i + rise_j - rise_ij, the rises of the loss when i, when j and when both leave:

    above 0 where leaving together costs less than the two leavings apart: complements, each is worth less without the
    other; below 0 where it costs more: substitutes, one stands in for the other. The diagonal is 0. It is the second
    difference of the value at the present gates (Grabisch and Roubens 1999 average it over all coalitions). The work is
    k (k + 1) / 2 + 1 forward passes.

    Raises:
        InputError: a unit that has left, or is named twice.
    """
    now = gates.detach().float().cpu()
    chosen = now.nonzero().flatten().tolist() if units is None else list(units)
    if len(set(chosen)) < len(chosen) or any(not 0 <= i < len(now) or now[i] == 0 for i in chosen):
        raise InputError(f"units are {chosen}; valid: units that are there, each of them once")
    first, second = torch.triu_indices(len(chosen), len(chosen))
    place = torch.tensor(chosen, dtype=torch.long)
    without = now.repeat(len(first), 1)
    rows = torch.arange(len(first))
    without[rows, place[first]] = 0.0
    without[rows, place[second]] = 0.0
    losses = coalition_losses(calibration, torch.cat([now.unsqueeze(0), without]))
    rise = losses[1:] - losses[0]
    alone = rise[first == second]
    together = torch.zeros(len(chosen), len(chosen), dtype=torch.float64)
    together[first, second] = alone[first] + alone[second] - rise
    together.fill_diagonal_(0.0)
    return together + together.T
