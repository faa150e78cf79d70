"""Values that say nothing but who stays before whom, for a market that ranks by value per cost."""

import torch
from torch import Tensor

from walras.agents.calibration import Calibration


def equal_shares(calibration: Calibration, gates: Tensor, score: Tensor) -> Tensor:
    """Values [n], above 0, by which all sub-layers keep the same share of their cost at any budget, within one unit.

    A unit is worth its cost times its rank within the sub-layer. Units are ranked by `score` [n], above 0, ties by
    position; units that have left come last. A unit's value per cost is the share of its sub-layer's cost that ranks
    below a point inside it. The points are spread evenly over the layers, from a unit's near end to its far end: if
    they were the middles, all layers would round up at once, at the expense of the sub-layers of other kinds.
    """
    cost = torch.from_numpy(calibration.cost).to(gates.device)
    score = torch.where(gates != 0, score, -score.reciprocal())  # units that left: below the others, in the same order
    value = torch.zeros_like(cost)
    sites = calibration.inventory.sites
    for site in sites:
        alike = [other.units.start for other in sites if other.kind == site.kind]
        point = (alike.index(site.units.start) + 0.5) / len(alike)
        order = score[site.units].argsort(descending=True, stable=True)
        ranked = cost[site.units][order]
        below = 1 - (ranked.cumsum(0) - (1 - point) * ranked) / ranked.sum()
        value[site.units] = (ranked * below)[order.argsort()]
    return value


def one_order(calibration: Calibration, gates: Tensor, score: Tensor) -> Tensor:
    """Values [n], above 0, by which units of the whole network leave in the order of their scores [n], any numbers.

    A unit is worth its cost times its place from the bottom; ties by position, units that have left below all others.
    """
    cost = torch.from_numpy(calibration.cost).to(gates.device)
    low = torch.where(gates != 0, 0.0, -1.0)
    order = sorted(range(len(score)), key=lambda i: (float(low[i]), float(score[i]), -i))
    place = torch.empty_like(cost)
    place[order] = torch.arange(1, len(score) + 1, dtype=cost.dtype, device=cost.device)
    return cost * place / len(score)
