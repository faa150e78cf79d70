"""K-prune's score: what a unit contributes to the network's predictions and to its own sub-layer's output."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError
from walras.models import Inventory, architecture, output_weights
from walras.models.architectures import layer_paths, submodule
from walras.models.objective import Batch
from walras.models.repair.streams import real_tokens
from walras.models.units.gates import hooked
from walras.models.units.inventory import sites_and_layers


@final
@dataclass(frozen=True)
class KnowledgeScore(Valuation):
    """A unit is worth its score by K-prune: predictive and representational knowledge, with heads weighted up.

    1. K_pred = 1 / (2 samples) sum over samples of (d T^2 KL(dense || now) / d gate)^2, see `Distillation`.
    2. K_rep = 1 / tokens sum over tokens that are not padding of x_i^2 times mean over outputs j of W_ji^2, with x the
       input of the output projection W: the mean square of what unit i writes. A head's is the mean over its
       coordinates.
    3. Score = `predictive` K_pred + `representational` K_rep, times `heads` for units of attention. A market ranks it
       per cost, as K-prune does.

    Units of several neurons, or of several query heads, have the sum of their K_rep: per cost, which is their number,
    that is the mean score. Their K_pred is that of the common gate. Where nothing has left and nothing was repaired,
    the divergence has its minimum, so that K_pred is 0 and K_rep decides alone: the first sub-layer's pruning in
    K-prune. x is taken before the gates, so that a unit that has left is worth what it would add. A network without
    logits, of which the paper has none, is measured by its in-batch similarities.
    """

    predictive: float = 1.0
    representational: float = 2.5e-4
    heads: float = 64.0
    temperature: float = 2.0
    name: ClassVar[str] = "knowledge"
    unit: ClassVar[str] = "squared gradient of nats + squared output"
    source: ClassVar[str] = "Park, Choi & Kang 2024, arXiv 2308.03449"

    def __post_init__(self) -> None:
        for name in ("predictive", "representational", "heads"):
            weight = getattr(self, name)
            if not 0 <= weight < float("inf"):
                raise InputError(f"{name} is {weight!r}; it must be a number of at least 0")

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Score [n]; a forward and a backward pass per batch, and the first time one of the dense network."""
        model, inventory = calibration.model, calibration.inventory
        predictive = torch.zeros_like(gates, dtype=torch.float64)
        sums = [_SumOfSquares(torch.zeros(site.width, dtype=torch.float64)) for site in inventory.sites]
        samples = 0
        with at_rest(model):
            for place, batch in enumerate(calibration.batches):
                objective = calibration.distillation(place, batch, self.temperature)
                with _summed(calibration, batch, sums):
                    gradient = calibration.gradients(model, objective, place, gates, generator)
                predictive += gradient.square().sum(0, dtype=torch.float64)
                samples += len(gradient)
        score = self.predictive * predictive / (2 * samples)
        score += self.representational * _mean_square_written(model, inventory, sums).to(score.device)
        for site in inventory.sites:
            if site.sublayer == "heads":
                score[site.units] *= self.heads
        return score


@final
@dataclass(eq=False)
class _SumOfSquares:
    """Sum [width] in float64 of the squares of one site's features over the real tokens so far, and their number."""

    total: Tensor
    tokens: int = 0

    def add(self, batch: Batch, x: Tensor) -> None:
        """Add the features [..., width] of a batch, at once: gates may be written over them later."""
        rows = real_tokens(x.detach(), batch)
        self.total = self.total.to(x.device) + rows.square().sum(0, dtype=torch.float64)
        self.tokens += len(rows)


def _mean_square_written(model: nn.Module, inventory: Inventory, sums: Sequence[_SumOfSquares]) -> Tensor:
    """Step 2 [n]; 0 for units whose features were not looked at."""
    found = torch.zeros(len(inventory), dtype=torch.float64, device=sums[-1].total.device)
    row, below = architecture(model), layer_paths(model)
    tokens = max(seen.tokens for seen in sums)
    for (site, weight), seen in zip(output_weights(model, inventory), sums, strict=True):
        energy = seen.total * weight.double().square().mean(0).to(seen.total.device)
        if site.sublayer == "heads":
            energy /= int(getattr(submodule(model, f"{below[site.layer]}.{row.attention}"), row.head_size))
        own = torch.zeros(len(site), dtype=torch.float64, device=energy.device)
        found[site.units] = own.index_add_(0, site.owner.to(energy.device), energy).to(found.device)
    return found / max(tokens, 1)


@contextmanager
def _summed(calibration: Calibration, batch: Batch, sums: Sequence[_SumOfSquares]) -> Iterator[None]:
    """Add the squares of the features of units that are valued, before their gates, at each forward pass."""
    places = zip(sites_and_layers(calibration.model, calibration.inventory), sums, strict=True)
    watched = (
        site.kind.watch(layer, site, partial(seen.add, batch))
        for (site, layer), seen in places
        if site.layer >= calibration.layer
    )
    with hooked(watched):
        yield
