"""What parts of attention heads, whole groups of heads and FFN neurons are worth, all in one unit."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.agents.calibration.derivatives import at_rest, loss_gradients
from walras.agents.valuations.residuals import residual_map
from walras.experiments.benchmarks.attention_units.designs import Parts, Sizes, Values
from walras.experiments.benchmarks.attention_units.masks import feature_inventory
from walras.models.architectures import layers_of
from walras.models.levels.moments import input_moments
from walras.models.objective import Batch, Objective
from walras.models.repair.streams import features
from walras.models.units.gates import hooked

RIDGE = 0.01
"""That of `PartialFisher` when the table was made; its default has been 1 since."""


def worths(
    model: nn.Module, sizes: Sizes, objective: Objective, batches: Sequence[Batch],
    tell: Callable[[float], object] = lambda share: None,
) -> tuple[Parts, Values]:  # fmt: skip
    """The worth of every part, and [layers, groups] of every group of heads as a whole.

    Neurons, dimensions and groups have the value of `PartialFisher`, steps 1 to 3, for a loss by position: the mean
    over samples of the sum over tokens of the squared effect of leaving, after a re-fit of the output projection. A
    dimension of a group owns a feature of the projection in each head of the group. A rotary pair has no re-fit: its
    effect is that of a gate on its share of the scores, which at a query is the product of its queries and their
    gradients, in all heads of the group.

    Args:
        model: the network, which is left as it was.
        sizes: of it.
        objective: the loss, a mean over rows, with a loss of its own for each position.
        batches: of the same length, without padding.
        tell: is told which share is done.
    """
    units, seeded = feature_inventory(model), torch.Generator().manual_seed(0)
    totals: dict[tuple[str, int], Tensor] = {}
    rows = 0
    with at_rest(model):
        moments = input_moments(model, units, batches, torch.ones(len(units)))
        tell(0.25)
        maps = {
            (sort, site.layer): (place, owner, residual_map(moments[place].clone(), owner, RIDGE).float())
            for place, site in enumerate(units.sites)
            for sort, owner in _owners(site.sublayer, sizes).items()
        }
        for number, batch in enumerate(batches):
            rows += len(batch["input_ids"])
            queries = [torch.empty(0)] * sizes.layers
            with torch.enable_grad(), hooked(_queries(model, queries)), features(model, units) as seen:
                slopes = loss_gradients(objective(model, batch, seeded), [*seen, *queries])
            count = len(batch["input_ids"])
            for key, (place, owner, weight) in maps.items():
                x, slope = (t.detach().reshape(-1, len(owner)) for t in (seen[place], slopes[place] * count))
                _add(totals, key, x @ weight * slope, owner)
            for layer, query in enumerate(queries):
                slope = slopes[len(seen) + layer] * count
                owner = _pair_owners(sizes)
                _add(totals, ("pair", layer), (query.detach() * slope).reshape(-1, len(owner)), owner)
            tell(0.25 + 0.75 * (number + 1) / len(batches))
    found = {
        sort: np.stack([(totals[sort, layer] / rows).numpy() for layer in range(sizes.layers)])
        for sort in ("neuron", "dimension", "pair", "group")
    }
    by_group = (sizes.layers, sizes.groups, -1)
    parts = Parts(found["neuron"], found["dimension"].reshape(by_group), found["pair"].reshape(by_group))
    return parts, found["group"]


def _owners(sublayer: str, sizes: Sizes) -> dict[str, Tensor]:
    """By sort of unit, the unit [width] that owns each input feature of an output projection."""
    if sublayer != "heads":
        return {"neuron": torch.arange(sizes.neurons)}
    head, dimension = divmod_features(sizes)
    group = head // sizes.shared
    return {"group": group, "dimension": group * sizes.size + dimension}


def _pair_owners(sizes: Sizes) -> Tensor:
    """The rotary pair [heads * size] that owns each query feature; a group's heads share theirs."""
    head, feature = divmod_features(sizes)
    half = sizes.size // 2
    return head // sizes.shared * half + feature % half


def divmod_features(sizes: Sizes) -> tuple[Tensor, Tensor]:
    """The query head [heads * size] of each feature, and its place within the head."""
    places = torch.arange(sizes.heads * sizes.size)
    return places // sizes.size, places % sizes.size


def _add(totals: dict[tuple[str, int], Tensor], key: tuple[str, int], by_feature: Tensor, owner: Tensor) -> None:
    """Add the squares of every unit's effects at all tokens [tokens, features], summed over its features first."""
    effects = by_feature.new_zeros(len(by_feature), int(owner.max()) + 1).index_add_(1, owner, by_feature)
    squares = effects.square().sum(0, dtype=torch.float64)
    totals[key] = squares if key not in totals else totals[key] + squares


def _queries(model: nn.Module, seen: list[Tensor]) -> Iterator[RemovableHandle]:
    """Note the queries of every layer, of which gradients can be asked."""

    def take(layer: int, _: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        seen[layer] = out if out.requires_grad else out.detach().requires_grad_()
        return seen[layer]

    for number, layer in enumerate(layers_of(model)):
        yield layer.at(f"{layer.row.attention}.q_proj").register_forward_hook(partial(take, number))
