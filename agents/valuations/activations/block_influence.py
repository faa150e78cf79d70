"""ShortGPT: a layer that hardly turns the hidden state can be left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.ranks import one_order
from walras.agents.valuations.valuation import Valuation
from walras.models import gated
from walras.models.architectures import layers_of
from walras.models.objective import Batch, inputs_of
from walras.models.repair.streams import real_tokens
from walras.models.units.gates import hooked


@final
@dataclass(frozen=True)
class BlockInfluence(Valuation):
    """A unit has the score of its layer: 1 less the mean cosine of the hidden states that enter and leave it.

    Layers leave whole, the one with the lowest score first, all at the scores of the dense network; where a budget
    falls within a layer, part of its units stay. Meant for whole sub-layers as units (kind `block`).
    """

    name: ClassVar[str] = "block-influence"
    unit: ClassVar[str] = "place in the order x share of the resource"
    source: ClassVar[str] = "Men et al. 2024 (ShortGPT), arXiv 2403.03853"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Cost times place from the bottom [n], above 0; one forward pass."""
        del generator
        influence = block_influences(calibration, gates)
        layer = torch.tensor(calibration.inventory.layer, device=influence.device)
        return one_order(calibration, gates, influence[layer])


@torch.no_grad()
def block_influences(calibration: Calibration, gates: Tensor) -> Tensor:
    """Scores [layers] in float64, in the gated network, means over the real tokens of the calibration data."""
    model = calibration.model
    turned, tokens = torch.zeros(2, len(layers_of(model)), dtype=torch.float64, device=calibration.device)
    with at_rest(model), gated(model, calibration.inventory, gates):
        for batch in calibration.batches:
            with _turning(model, batch, turned, tokens):
                model(**{name: tensor.to(calibration.device) for name, tensor in inputs_of(batch).items()})
    scores: Tensor = turned / tokens.clamp(min=1)
    return scores


@contextmanager
def _turning(model: nn.Module, batch: Batch, turned: Tensor, tokens: Tensor) -> Iterator[None]:
    """Add 1 less the cosine of every token's states before and after each layer to `turned` [layers], and count them.

    States are those of a forward pass inside the context.
    """

    def add(index: int, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        entering, leaving = args[0] if args else kwargs["hidden_states"], output
        leaving = leaving[0] if isinstance(leaving, tuple) else leaving
        before, after = (real_tokens(states, batch).double() for states in (entering, leaving))
        turned[index] += (1 - cosine_similarity(before, after, dim=-1)).sum()
        tokens[index] += len(before)

    layers = layers_of(model)
    with hooked(layer.module.register_forward_hook(partial(add, layer.index), with_kwargs=True) for layer in layers):
        yield
