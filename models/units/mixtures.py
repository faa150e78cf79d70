"""The router and the experts of one layer, as valuations, repairs and rules look at them."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.families import Mixture
from walras.models.units.routing import routed, router_routing

MIXTURE = "mixture"
"""The `sublayer` of a site of experts."""


@final
@dataclass(frozen=True, eq=False)
class MixtureLayer:
    """A layer's mixture of experts; states `x` [tokens, hidden] are what enters it, router and experts alike."""

    router: Any
    experts: Any
    row: Mixture

    @staticmethod
    def of_layer(layer: Layer) -> "MixtureLayer":
        """That of a layer which has one.

        Raises:
            InputError: it is dense.
        """
        if layer.mixture is None:
            raise InputError(f"{layer.path} has no mixture of experts")
        return MixtureLayer(layer.at(layer.mixture.router), layer.at(layer.mixture.experts), layer.mixture)

    @property
    def count(self) -> int:
        """Experts that are there."""
        return int(self.experts.num_experts)

    @property
    def chosen(self) -> int:
        """Experts of each token."""
        return int(self.router.top_k)

    def check(self, path: str) -> None:
        """Refuse a router, at a path, that gives tokens more experts than there are.

        Raises:
            InputError: as said.
        """
        if self.chosen > self.count:
            raise InputError(
                f"{path} gives each token {self.chosen} of {self.count} experts; valid: 1 to {self.count} "
                "(num_experts_per_tok in config.json)"
            )

    @property
    def router_weight(self) -> nn.Parameter:
        """[experts, hidden]."""
        weight: nn.Parameter = self.router.get_parameter("weight")
        return weight

    @property
    def output_weight(self) -> nn.Parameter:
        """What experts write with, [experts, hidden, neurons]."""
        weight: nn.Parameter = self.experts.get_parameter(self.row.outputs)
        return weight

    def logits(self, x: Tensor) -> Tensor:
        """The router's logits [tokens, experts], in float32 at least."""
        found = nn.functional.linear(x, self.router_weight)
        return found if found.dtype == torch.float64 else found.float()

    def shares(self, x: Tensor, keep: Tensor) -> Tensor:
        """Weight of each expert in each token's output, [tokens, experts]; 0 of those outside bool `keep` [experts]."""
        gates = keep.to(device=x.device, dtype=torch.float32)
        logits = self.logits(x)
        _, weights, index = routed(logits, gates, router_routing(self.router, self.row))
        return torch.zeros_like(logits).scatter_(1, index, weights.to(logits.dtype))

    def features(self, expert: int, x: Tensor) -> Tensor:
        """What goes into an expert's output weight, [tokens, neurons]."""
        weight = self.experts.get_parameter(self.row.weights[0])[expert]
        found: Tensor = self.experts._apply_gate(nn.functional.linear(x, weight))
        return found
