"""The paper's cost of activations (Eq. 2), literally and in the form that cannot be evaded by scaling."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.models.attention import Softmax, attention_market
from walras.models.objective import Batch
from walras.models.repair.streams import features, real_tokens
from walras.models.units.inventory import Inventory, sites_and_layers


@final
@dataclass(frozen=True)
class ActivationCost:
    """C = alpha * mean |A| row sum + beta * mean |a|, of attention probabilities A and FFN activations a.

    Reconstructed from "Computational Economics in LLMs" (arXiv 2508.10426), Eq. 2, whose symbols are not at hand; alpha
    = beta = 1, sums divided by tokens and units, so that neither padding nor length counts. `literal` has the attention
    term as it stands: rows of A sum to 1, so that it is a constant, and its gradient nothing but rounding. And its
    FFN term falls without any change of the network where W1 shrinks and W2 grows. The `invariant` form weighs |a_j|
    by the norm of the column that neuron j writes with, and has no attention term.
    """

    units: Inventory
    invariant: bool
    heads: bool = True
    ffn: bool = True

    @contextmanager
    def measured(self, model: nn.Module) -> Iterator[Callable[[Batch], Tensor]]:
        """Within the context, calling what it gives with a batch yields the cost [] of the batch's forward pass."""
        rows: list[Tensor] = []  # sums of attention rows [batch, heads, queries], a layer each
        watched = self.heads and not self.invariant
        market = attention_market(model, Softmax(), lambda _, __, a: rows.append(a.abs().sum(-1)))
        with market if watched else nullcontext(), features(model, self.units) as seen:
            yield lambda batch: self._cost(model, batch, rows, seen)

    def _cost(self, model: nn.Module, batch: Batch, rows: list[Tensor], seen: list[Tensor]) -> Tensor:
        attention = [real_tokens(sums.transpose(1, 2), batch).mean() for sums in rows]
        neurons = []
        for (site, layer), x in zip(sites_and_layers(model, self.units), seen, strict=True):
            if site.sublayer != "ffn" or not self.ffn:
                continue
            size = real_tokens(x, batch).abs()
            if self.invariant:
                size = size * site.kind.output_weight(layer, site).norm(dim=0)
            neurons.append(size.mean())
        terms = [torch.stack(term).mean() for term in (attention, neurons) if term]
        return torch.stack(terms).sum()
