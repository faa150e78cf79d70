"""What a unit knows: of the dense network's predictions, and of its own sub-layer's output."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from walras.agents.valuations.calibration import Calibration, at_rest
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError
from walras.models import Inventory, Site, architecture, output_weights
from walras.models.architectures import layer_paths, submodule
from walras.models.objective import Batch
from walras.models.units.inventory import projections


@final
@dataclass(frozen=True)
class KnowledgeScore(Valuation):
    """K-prune's score: predictive and representational knowledge, heads weighted up (Park, Choi & Kang, ICLR 2024).

    1. K_pred = 1 / (2 samples) sum over samples of (d T^2 KL(dense || now) / d gate)^2, see `Distillation`.
    2. K_rep = 1 / tokens sum over tokens that are not padding of x_i^2 times mean over outputs j of W_ji^2, with x the
       input of the output projection W: the mean square of what unit i writes. A head's is the mean over its
       coordinates.
    3. Score = K_pred + `representational` K_rep, times `heads` for heads. A market ranks it per cost, as K-prune does.

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
    unit: ClassVar[str] = "squared gradient of nats + squared output"

    def __post_init__(self) -> None:
        for name in ("predictive", "representational", "heads"):
            weight = getattr(self, name)
            if not 0 <= weight < float("inf"):
                raise InputError(f"{name} is {weight!r}; it must be a number of at least 0")

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Score [n]; a forward and a backward pass a batch, and the first time one of the dense network."""
        model, inventory = calibration.model, calibration.inventory
        known = torch.zeros_like(gates, dtype=torch.float64)
        squares = [torch.zeros(site.width, dtype=torch.float64, device=gates.device) for site in inventory.sites]
        samples, tokens = 0, 0
        with at_rest(model):
            for place, batch in enumerate(calibration.batches):
                objective = calibration.distillation(place, batch, self.temperature)
                with _watched(calibration, batch, squares) as seen:
                    gradient = calibration.gradients(model, objective, place, gates, generator)
                known += gradient.square().sum(0, dtype=torch.float64)
                samples += len(gradient)
                tokens += seen[-1]
        score = self.predictive * known / (2 * samples)
        score += self.representational * _written(model, inventory, squares) / max(tokens, 1)
        is_head = torch.from_numpy(inventory.kind == "head").to(score.device)
        return torch.where(is_head, self.heads * score, score)


def _written(model: nn.Module, inventory: Inventory, squares: list[Tensor]) -> Tensor:
    """Step 2 [n], not yet divided by the number of tokens."""
    found = torch.zeros(len(inventory), dtype=torch.float64, device=squares[0].device)
    row, below = architecture(model), layer_paths(model)
    for (site, weight), square in zip(output_weights(model, inventory), squares, strict=True):
        energy = square * weight.double().square().mean(0).to(square.device)
        if site.sublayer == "heads":
            energy /= int(getattr(submodule(model, f"{below[site.layer]}.{row.attention}"), row.head_size))
        found[site.units] = torch.zeros_like(found[site.units]).index_add_(0, site.owner.to(energy.device), energy)
    return found


@contextmanager
def _watched(calibration: Calibration, batch: Batch, squares: list[Tensor]) -> Iterator[list[int]]:
    """Add the squares of what goes into the output projections of units that are valued to `squares`.

    Yields the tokens of each site.
    """
    inventory = calibration.inventory
    mask = batch.get("attention_mask")
    real = None if mask is None else mask.flatten().bool()
    tokens = [0] * len(inventory.sites)
    handles = [
        projection.register_forward_pre_hook(_Watch(i, site, real, squares, tokens))
        for i, (site, projection) in enumerate(
            zip(inventory.sites, projections(calibration.model, inventory), strict=True)
        )
        if site.layer >= calibration.layer
    ]
    try:
        yield tokens
    finally:
        for handle in handles:
            handle.remove()


@final
@dataclass(frozen=True, eq=False)
class _Watch:
    """Reads the input of one output projection before the gates do, which may write over it."""

    place: int
    site: Site
    real: Tensor | None
    squares: list[Tensor]
    tokens: list[int]

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        del module
        x = args[0].detach().reshape(-1, self.site.width)
        if self.real is not None:
            x = x[self.real.to(x.device)]
        self.squares[self.place] += x.square().sum(0, dtype=torch.float64).to(self.squares[self.place].device)
        self.tokens[self.place] += len(x)
