"""How far a network in training is from the dense one, collected as it is run."""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.experiments.training.price.network import Calls
from walras.models.architectures import layers_of
from walras.models.distillation import Distillation
from walras.models.objective import LABELS
from walras.models.repair.hooks import take_from


@final
class Distilled:
    """Watches a network: every batch that it is trained on, the dense network is run on as well.

    `taken` returns what has been run since it was last asked, the mean over these batches of: the divergence of
    predictions, times `weight`, and the distance of states, times `states`. The distance of a layer is the squared
    difference of its outputs, a share of the square of the dense network's; the mean over layers (as CoFi distils
    layers, Xia et al. 2022, arXiv 2204.00408; here each layer has its own counterpart).
    """

    def __init__(self, network: nn.Module, dense: nn.Module, weight: float, states: float = 0.0) -> None:
        self._dense, self._weight, self._states, self._terms = dense, weight, states, list[Tensor]()
        self._network, self._calls = network, Calls(network, self._compare)
        self._own = LayerStates(network) if states else None
        self._other = LayerStates(dense) if states else None
        self._nothing = torch.zeros((), device=next(network.parameters()).device)

    def taken(self) -> Tensor:
        """The weighted sum [] of both; 0 where nothing has been run, or nothing is distilled."""
        terms, self._terms = self._terms, []
        return torch.stack(terms).mean() if terms else self._nothing

    def close(self) -> None:
        """Stop watching."""
        self._terms = []
        self._calls.remove()
        for layers in (self._own, self._other):
            if layers is not None:
                layers.close()

    def _compare(self, given: dict[str, Any], outputs: Any) -> None:
        """Run the dense network on what the network was called with."""
        own = [] if self._own is None else self._own.taken()
        if not (self._network.training and torch.is_grad_enabled()):
            return
        mask = given.get("attention_mask")
        unlabelled = {name: value for name, value in given.items() if name != LABELS}
        with torch.no_grad():
            dense = self._dense(**unlabelled)
        term = self._nothing
        if self._weight:
            term = term + self._weight * Distillation.from_outputs(dense, mask).of(outputs, mask)
        if self._other is not None:
            term = term + self._states * distance(own, self._other.taken(), mask)
        self._terms.append(term)


@final
class LayerStates:
    """What the layers of a network have written in its last run, until `close`."""

    def __init__(self, network: nn.Module) -> None:
        self._seen: dict[int, Tensor] = {}
        layers = [layer.module for layer in layers_of(network)]
        self._handles: list[RemovableHandle] = [
            # Layers that are run again for their gradients come in the reverse order, the first one last.
            layers[0].register_forward_pre_hook(lambda *_: self._seen.clear()),
            *(take_from(layer, self._keeper(i), before=False) for i, layer in enumerate(layers)),
        ]

    def taken(self) -> list[Tensor]:
        """Of each layer [rows, tokens, d], from the first to the last; they are not kept any longer."""
        found, self._seen = self._seen, {}
        return [found[i] for i in sorted(found)]

    def close(self) -> None:
        """Stop looking."""
        self._seen = {}
        for handle in self._handles:
            handle.remove()

    def _keeper(self, place: int) -> Any:
        return lambda state: self._seen.__setitem__(place, state)


def distance(now: list[Tensor], dense: list[Tensor], mask: Tensor | None) -> Tensor:
    """Mean [] over layers of the squared difference of states [rows, tokens, d], a share of the dense ones' square.

    `mask` [rows, tokens] says which tokens are real, of the layers that it fits.
    """
    shares = []
    for own, other in zip(now, dense, strict=True):
        apart, size = (own - other).square().sum(-1), other.square().sum(-1)
        if mask is not None and mask.shape == size.shape:
            apart, size = apart * mask, size * mask
        shares.append(apart.sum() / size.sum())
    return torch.stack(shares).mean()
