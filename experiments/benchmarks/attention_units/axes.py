"""Values of heads in axes of their own, so that a dimension that leaves is one that writes little."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from walras.experiments.benchmarks.attention_units.designs import Sizes
from walras.experiments.benchmarks.attention_units.masks import feature_inventory
from walras.models.architectures import layers_of
from walras.models.export.copying import shared_copy
from walras.models.levels.moments import input_moments
from walras.models.objective import Batch

DAMPING = 1e-4
"""Of a group's second moments, times their mean."""


@torch.no_grad()
def in_principal_axes(model: nn.Module, sizes: Sizes, batches: Sequence[Batch]) -> nn.Module:
    """A copy that computes the same, in which the values of each group of heads are the principal axes of its output.

    Any invertible T does: rows v of a group's value map become inv(T) v, columns W_h of the output projection W_h T in
    each of its heads h, and their product stays. With C the sum over heads of the second moments of what enters W_h,
    and G that of W_h' W_h, T is such that T' G T = 1 and inv(T) C inv(T)' is diagonal: what a dimension writes is told
    by its variance alone, and the first k dimensions write the most that k can (for the heads' sum of squares).

    It owns its value maps and output projections, and shares the rest with the model, which must be in evaluation mode.
    """
    units = feature_inventory(model)
    places = [place for place, site in enumerate(units.sites) if site.sublayer == "heads"]
    moments = input_moments(model, units, batches, torch.ones(len(units)), places)
    maps = [(layer.at(f"{layer.row.attention}.v_proj"), layer.at(layer.row.heads.output)) for layer in layers_of(model)]
    found = shared_copy(model, own=[p for pair in maps for module in pair for p in module.parameters()])
    for place, layer in zip(places, layers_of(found), strict=True):
        values, output = layer.at(f"{layer.row.attention}.v_proj"), layer.at(layer.row.heads.output)
        for group in range(sizes.groups):
            rows = slice(group * sizes.size, (group + 1) * sizes.size)
            heads = [slice(h * sizes.size, (h + 1) * sizes.size)
                     for h in range(group * sizes.shared, (group + 1) * sizes.shared)]  # fmt: skip
            weight = output.get_parameter("weight")
            columns = [weight[:, head].double() for head in heads]
            turn, back = _axes(
                torch.stack([moments[place][head, head] for head in heads]).sum(0),
                torch.stack([column.T @ column for column in columns]).sum(0),
            )
            for p in values.parameters():  # the weight, and a bias where there is one
                p[rows] = (back @ p[rows].double()).to(p.dtype)
            for head, column in zip(heads, columns, strict=True):
                weight[:, head] = (column @ turn).to(weight.dtype)
    return found


def _axes(moment: Tensor, written: Tensor) -> tuple[Tensor, Tensor]:
    """T [k, k] and its inverse, from C and G; the axis that writes most comes first."""
    eye = torch.eye(len(moment), dtype=moment.dtype)
    low = torch.linalg.cholesky(written + DAMPING * written.diagonal().mean() * eye)  # G = L L'
    vectors = torch.linalg.eigh(low.T @ moment @ low).eigenvectors.flip(1)  # of the moments of L' x
    # y = E' L' x: then x = inv(L') E y, so that T' G T = 1, and the moments of y are diagonal.
    return torch.linalg.solve_triangular(low.T, vectors, upper=True), vectors.T @ low.T
