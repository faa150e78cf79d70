"""What goes into the output projections of a batch, and batches as such work wants them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from walras.models.objective import Batch, inputs_of
from walras.models.units.gates import hooked
from walras.models.units.inventory import Inventory, sites_and_layers


def refittable(model: nn.Module, inventory: Inventory) -> tuple[bool, ...]:
    """Per site, whether its units own features of an output projection, which a repair can re-fit.

    Experts do not: a router chooses who writes.
    """
    return tuple(site.kind.projection(layer, site) is not None for site, layer in sites_and_layers(model, inventory))


@contextmanager
def features(model: nn.Module, inventory: Inventory) -> Iterator[list[Tensor]]:
    """Within the context, the features of every site at the last forward pass, one tensor per site.

    Entered within `gated`, the gates have been applied. Sites that are not `refittable` have empty ones.
    """
    seen = [torch.empty(0)] * len(inventory.sites)
    places = zip(sites_and_layers(model, inventory), refittable(model, inventory), strict=True)
    watched = (
        site.kind.watch(layer, site, partial(seen.__setitem__, i))
        for i, ((site, layer), fitted) in enumerate(places)
        if fitted
    )
    with hooked(watched):
        yield seen


def inputs(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The batch without labels, where the model is."""
    device = next(model.parameters()).device
    return {name: tensor.to(device) for name, tensor in inputs_of(batch).items()}


def by_length(batches: Sequence[Batch]) -> Sequence[Batch]:
    """The same rows, without labels, in batches of like length and with as little padding as that leaves.

    For work that takes every row by itself: samples of several rows are torn apart. Batches that hold anything but
    [rows, length] tensors beside a mask, or that are padded on the left, stay as they are.
    """
    rows: list[dict[str, Tensor]] = []
    for place in range(len(batches)):  # by number: whoever counts passes over the batches counts those of valuations
        batch = batches[place]
        kept, mask = inputs_of(batch), batch.get("attention_mask")
        if mask is None or any(v.shape != mask.shape for v in kept.values()):
            return batches
        lengths = mask.sum(-1)
        if not bool((mask == (torch.arange(mask.shape[1], device=mask.device) < lengths.unsqueeze(-1))).all()):
            return batches
        rows.extend({k: v[i, :n] for k, v in kept.items()} for i, n in enumerate(lengths.tolist()))
    rows.sort(key=lambda row: len(row["attention_mask"]))
    size = max(len(batches[place]["attention_mask"]) for place in range(len(batches)))
    return [
        {k: pad_sequence([row[k] for row in rows[i : i + size]], batch_first=True) for k in rows[i]}
        for i in range(0, len(rows), size)
    ]


def real_tokens(tensor: Tensor, batch: Batch) -> Tensor:
    """Rows [tokens, d] of [batch, length, d] (or of [batch * length, d]) that are no padding."""
    rows, mask = tensor.reshape(-1, tensor.shape[-1]), batch.get("attention_mask")
    return rows if mask is None else rows[mask.flatten().bool().to(rows.device)]
