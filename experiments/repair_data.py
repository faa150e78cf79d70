"""On which sentences repairs are fitted, and about how long that takes."""

import math
import time
from collections.abc import Sequence

import torch
from torch import nn

from walras.errors import InputError
from walras.experiments.spec import MarketSpec
from walras.experiments.subjects.data import SubjectData
from walras.models import Inventory
from walras.models.objective import Batch, inputs_of, tokens_of
from walras.models.repair.streams import refittable
from walras.models.units.inventory import sites_and_layers
from walras.models.units.mixtures import MIXTURE, MixtureLayer

PASSES = 5.0
"""A repair by least squares takes about as long as so many forward passes of the dense network over its tokens."""


def check_enough(most: int | None, name: str, market: MarketSpec) -> None:
    """Refuse more samples than there are, where a task says how many there are; of the default number all are taken.

    Args:
        most: samples that there are; None where more may be asked for.
        name: of the task.
        market: says how many are wanted.

    Raises:
        InputError: saying how many there are.
    """
    default = MarketSpec()
    for setting in ("sentences", "repair_sentences"):
        wanted = getattr(market, setting)
        if most is not None and wanted > most and wanted != getattr(default, setting):
            raise InputError(f"{setting} is {wanted:,}; task {name} has {most:,} samples to calibrate on")


def repair_batches(
    data: SubjectData, market: MarketSpec, seed: int, valued: Sequence[Batch], wanted: int, inside: int = 1
) -> Sequence[Batch] | None:
    """The sentences on which repairs are fitted; None where they are those with which units are valued.

    Args:
        data: where they come from.
        market: says how many, or leaves it to `wanted`.
        seed: of the draw, of which the sentences that units are valued on are the first.
        valued: the batches with which units are valued.
        wanted: tokens that the repair needs at least.
        inside: tokens of a row that is no text, as `tokens_of`.
    """
    if market.repair_sentences:
        return data.batches(market.repair_sentences, seed)
    known = sum(tokens_of(batch, inside) for batch in valued)
    if wanted <= known:
        return None
    found = data.batches(math.ceil(wanted / max(known / market.sentences, 1.0)), seed)
    more = sum(tokens_of(batch, inside) for batch in found) > known  # a text, or batches, may be at their end
    return found if more else None


def widest_projection(model: nn.Module, units: Inventory, mixtures: bool = False) -> int:
    """Inputs of the widest output projection that a repair can re-fit; 0 where there is none.

    Where it re-fits `mixtures` of experts, an expert counts that gets an equal share of the tokens: as wide as all
    experts together, by the number of experts of a token.
    """
    widths = [site.width for site, fit in zip(units.sites, refittable(model, units), strict=True) if fit]
    for site, layer in sites_and_layers(model, units) if mixtures else ():
        if site.sublayer == MIXTURE:
            widths.append(-(-site.width // MixtureLayer.of_layer(layer).chosen))
    return max(widths, default=0)


@torch.no_grad()
def minutes_of_repair(dense: nn.Module, batches: Sequence[Batch], rounds: int) -> float:
    """About how long repairs take, from one pass over the first batch; the network is in evaluation mode."""
    device = next(dense.parameters()).device
    given = {name: tensor.to(device) for name, tensor in inputs_of(batches[0]).items()}
    started = time.monotonic()
    dense(**given)
    seconds = (time.monotonic() - started) / max(tokens_of(batches[0]), 1)
    return PASSES * rounds * seconds * sum(map(tokens_of, batches)) / 60
